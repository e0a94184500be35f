#include "test_node.h"

#include <fcntl.h>

#include <cstring>
#include <future>

#include "check.h"

namespace culvert {

static Options TestOptions() {
  Options options;
  options.threads = 2;
  // OpenSSL 3.0 has no ML-KEM.
  options.groups = "X25519:P-256";
  return options;
}

TestNode::TestNode(TestAuthority& authority) : authority_(authority), engine_(TestOptions(), [this] {
  std::lock_guard<std::mutex> lock(mutex_);
  woken_ = true;
  changed_.notify_one();
}) {
  if (engine_.Start() != 0) abort();
  thread_ = std::thread([this] { Main(); });
  Renew(kClientId);
  Renew(kServerId);
}

TestNode::~TestNode() { Stop(); }

void TestNode::Stop() {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    stop_ = true;
    changed_.notify_one();
  }
  if (thread_.joinable()) thread_.join();
}

void TestNode::Main() {
  std::vector<uint8_t> batch;
  while (true) {
    std::vector<std::function<void()>> calls;
    {
      std::unique_lock<std::mutex> lock(mutex_);
      changed_.wait(lock, [this] { return woken_ || stop_ || !calls_.empty(); });
      woken_ = false;
      calls.swap(calls_);
      if (stop_ && calls.empty()) break;
    }
    for (auto& call : calls) call();
    bool more = true;
    while (more) {
      batch.clear();
      more = engine_.events().Take(64, &batch);
      Take(batch);
    }
  }
  engine_.Stop();
  batch.clear();
  engine_.events().Take(SIZE_MAX, &batch);
  Take(batch);
}

void TestNode::Call(std::function<void(Engine&)> what) {
  std::promise<void> done;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    calls_.push_back([&] {
      what(engine_);
      done.set_value();
    });
    changed_.notify_one();
  }
  done.get_future().wait();
}

/** Steps through one event; see event_record.h. */
class Reader {
 public:
  explicit Reader(const uint8_t* at) : at_(at) {}
  void Skip(size_t length) { at_ += length; }
  std::string Text() {
    uint16_t length;
    memcpy(&length, at_, sizeof length);
    std::string text(reinterpret_cast<const char*>(at_ + 2), length);
    at_ += 2 + length;
    return text;
  }

 private:
  const uint8_t* at_;
};

void TestNode::Take(const std::vector<uint8_t>& batch) {
  constexpr size_t kSocketBytes = 20;
  uint32_t size = 0;
  for (size_t at = 0; at < batch.size(); at += size) {
    const uint8_t* record = batch.data() + at;
    memcpy(&size, record, sizeof size);
    uint8_t kind = record[4];
    auto reason = static_cast<Reason>(record[5]);
    ConnectionId id;
    memcpy(&id, record + 8, sizeof id);
    Reader reader(record + kRecordHeaderBytes);
    std::unique_lock<std::mutex> lock(mutex_);
    switch (static_cast<EventKind>(kind)) {
      case EventKind::kOutbound:
      case EventKind::kPlaintext:
      case EventKind::kConnect: {
        announced_.insert(id);
        uint64_t ticket;
        memcpy(&ticket, record + kRecordHeaderBytes, sizeof ticket);
        if (static_cast<EventKind>(kind) != EventKind::kPlaintext && ticket != 0) break;
        bool request = static_cast<EventKind>(kind) == EventKind::kConnect;
        reader.Skip((request ? 8 : 16) + 2 * kSocketBytes);
        reader.Text();
        if (request) reader.Text();
        std::string authority = request ? reader.Text() : "";
        lock.unlock();
        Decide(kind, id, authority);
        break;
      }
      case EventKind::kConnected:
        ++connected_;
        break;
      case EventKind::kClosed:
        closed_.insert(id);
        ++reasons_[reason];
        break;
      case EventKind::kDrained:
        drained_ = true;
        break;
      default:
        break;
    }
  }
}

void TestNode::SetEpoch(uint64_t epoch) {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    epoch_ = epoch;
  }
  Call([epoch](Engine& engine) { engine.SetEpoch(epoch); });
}

void TestNode::Decide(uint8_t kind, ConnectionId id, const std::string& authority) {
  Route route;
  bool deny;
  uint64_t epoch;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    route = route_;
    deny = deny_;
    epoch = epoch_;
  }
  auto decide = [&] {
    if (static_cast<EventKind>(kind) == EventKind::kOutbound && !route.beside.empty()) {
      DeliverDecision decision;
      decision.to = Address::Parse("127.0.0.1", route.application);
      return engine_.DecideDirect(id, route.beside, decision);
    }
    if (static_cast<EventKind>(kind) == EventKind::kOutbound) {
      TunnelDecision decision;
      decision.via = Address::Parse("127.0.0.1", route.hbone);
      decision.authority = "127.0.0.1:" + std::to_string(route.application);
      decision.tls_identity = kClientId;
      decision.expected_identities = {route.expected};
      decision.headers = {{"baggage", "k8s.namespace.name=shop"}};
      if (epoch != 0) {
        ReusableRoute reusable;
        reusable.reuse = {epoch, epoch};
        reusable.choices = {{1, std::make_shared<const TunnelDecision>(decision)}};
        if (!engine_.RememberRoute(id, reusable)) return false;
      }
      return engine_.DecideTunnel(id, decision);
    }
    if (deny) return engine_.DecideRefuse(id, Reason::kDenied, 401);
    DeliverDecision decision;
    auto port = static_cast<uint16_t>(std::stoi(authority.substr(authority.rfind(':') + 1)));
    decision.to = Address::Parse("127.0.0.1", port);
    if (epoch != 0) decision.reuse = {epoch, epoch};
    decision.authority = authority;
    return engine_.DecideDeliver(id, decision);
  };
  while (!decide()) std::this_thread::yield();
}

PodPorts TestNode::AddPod(const std::string& id, const std::string& identity) {
  int listeners[3] = {-1, -1, -1};
  int error = 0;
  Fd netns(open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC));
  Call([&](Engine& engine) { error = engine.AddPod(id, netns.get(), identity, false, listeners); });
  CheckEqual(error, 0, "the errno of AddPod");
  return {Address::LocalOf(listeners[0]).port, Address::LocalOf(listeners[2]).port};
}

void TestNode::Renew(const std::string& identity) {
  IdentityMaterial material = authority_.Issue(identity);
  std::string error;
  bool taken = false;
  Call([&](Engine& engine) { taken = engine.SetIdentity(material, &error); });
  Check(taken, "the identity is usable: " + error);
}

void TestNode::SetRoute(const Route& route) {
  std::lock_guard<std::mutex> lock(mutex_);
  route_ = route;
}

void TestNode::DenyRequests() {
  std::lock_guard<std::mutex> lock(mutex_);
  deny_ = true;
}

size_t TestNode::connected() {
  std::lock_guard<std::mutex> lock(mutex_);
  return connected_;
}

size_t TestNode::announced() {
  std::lock_guard<std::mutex> lock(mutex_);
  return announced_.size();
}

size_t TestNode::closed() {
  std::lock_guard<std::mutex> lock(mutex_);
  return closed_.size();
}

size_t TestNode::closed(Reason reason) {
  std::lock_guard<std::mutex> lock(mutex_);
  return reasons_[reason];
}

bool TestNode::drained() {
  std::lock_guard<std::mutex> lock(mutex_);
  return drained_;
}

void TestNode::CheckAllEnded() {
  std::lock_guard<std::mutex> lock(mutex_);
  Check(announced_ == closed_, "every connection that was announced has ended once");
  Check(engine_.table().size() == 0, "no connection is left");
}

}  // namespace culvert
