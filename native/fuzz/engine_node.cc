#include "engine_node.h"

#include <cstring>

namespace culvert {

namespace {

constexpr size_t kSocketBytes = 20;

/** Steps through one event; see event_record.h. */
class Reader {
 public:
  explicit Reader(const uint8_t* at) : at_(at) {}
  template <typename T>
  T Number() {
    T value;
    memcpy(&value, at_, sizeof value);
    at_ += sizeof value;
    return value;
  }
  void Skip(size_t length) { at_ += length; }
  std::string Text() {
    auto length = Number<uint16_t>();
    std::string text(reinterpret_cast<const char*>(at_), length);
    at_ += length;
    return text;
  }

 private:
  const uint8_t* at_;
};

}  // namespace

EngineNode::EngineNode(ByteSource& script, const Options& options) : script_(script), engine_(options, [] {}) {
  engine_.Begin();
}

EngineNode::~EngineNode() = default;

void EngineNode::TakeEvents(bool decide) {
  bool more = true;
  while (more) {
    std::vector<uint8_t> batch;
    more = engine_.events().Take(64, &batch);
    uint32_t size = 0;
    for (size_t at = 0; at < batch.size(); at += size) {
      memcpy(&size, batch.data() + at, sizeof size);
      Expect(size >= kRecordHeaderBytes && at + size <= batch.size(), "a record is whole");
      TakeOne(batch.data() + at, decide);
    }
  }
}

void EngineNode::TakeOne(const uint8_t* record, bool decide) {
  auto kind = static_cast<EventKind>(record[4]);
  ConnectionId id;
  memcpy(&id, record + 8, sizeof id);
  Reader reader(record + kRecordHeaderBytes);
  switch (kind) {
    case EventKind::kOutbound:
    case EventKind::kPlaintext:
    case EventKind::kConnect: {
      Expect(known.count(id) == 0, "an id is announced once");
      Known& connection = known[id];
      connection.kind = kind;
      // With a ticket an earlier answer was given again.
      connection.decided = reader.Number<uint64_t>() != 0;
      if (kind != EventKind::kConnect) reader.Number<uint64_t>();
      if (kind == EventKind::kConnect) {
        reader.Skip(2 * kSocketBytes);
        reader.Text();
        Expect(reader.Text() == route.from, "a request is of who proved to be the client");
        std::string authority = reader.Text();
        connection.port = static_cast<uint16_t>(std::stoi(authority.substr(authority.rfind(':') + 1)));
      } else {
        reader.Skip(kSocketBytes + 2);
        connection.port = reader.Number<uint16_t>();
      }
      if (connection.decided) return;
      undecided.push_back(id);
      if (decide) Decide(id, true);
      return;
    }
    case EventKind::kConnected:
    case EventKind::kClosed: {
      Expect(known.count(id) == 1, "only what was announced connects and closes");
      Known& connection = known[id];
      Expect(!connection.closed, "an id closes once, and nothing follows");
      if (kind == EventKind::kConnected) {
        Expect(!connection.connected && connection.decided, "a connection opens once, and not undecided");
        connection.connected = true;
        return;
      }
      connection.closed = true;
      connection.reason = static_cast<Reason>(record[5]);
      connection.sent = static_cast<uint64_t>(reader.Number<double>());
      connection.received = static_cast<uint64_t>(reader.Number<double>());
      Expect(connection.reason != Reason::kOk || connection.connected, "only what was open ends well");
      return;
    }
    case EventKind::kDrained:
      ++drained;
      Expect(drained <= drains, "a drain ends once");
      return;
    default:
      return;
  }
}

uint8_t EngineNode::Usual(EventKind kind) const {
  if (refusing) return 0;
  if (kind != EventKind::kOutbound) return 1;
  return plain ? 2 : direct ? 3 : 4;
}

void EngineNode::Decide(ConnectionId id, bool as_it_should) {
  auto found = known.find(id);
  EventKind kind = found == known.end() ? EventKind::kOutbound : found->second.kind;
  uint16_t port = found == known.end() ? 1 : found->second.port;
  if (found != known.end()) found->second.decided = true;
  uint8_t how = as_it_should ? Usual(kind) : script_.Byte();
  switch (how % 5) {
    case 0:
      engine_.DecideRefuse(id, Reason::kDenied, 401);
      return;
    case 1: {
      DeliverDecision decision;
      decision.to = Address::Parse("10.0.0.2", port);
      if (port % 2 == 0) decision.source = Address::Parse("10.0.0.1", 0);
      decision.headers = {{"x-served-by", "10.0.0.2"}};
      decision.reuse = {epoch, epoch};
      decision.authority = "10.0.0.2:" + std::to_string(port);
      engine_.DecideDeliver(id, decision);
      return;
    }
    case 2:
      engine_.DecidePlain(id, Address::Parse("10.0.0.2", port));
      return;
    case 3: {
      DeliverDecision decision;
      decision.to = Address::Parse("10.0.0.2", port);
      engine_.DecideDirect(id, beside, decision);
      return;
    }
    default: {
      TunnelDecision decision;
      decision.via = Address::Parse("10.0.0.2", route.hbone);
      decision.authority = "10.0.0.2:" + std::to_string(port);
      decision.tls_identity = route.from;
      decision.expected_identities = {route.to};
      decision.headers = {{"baggage", "k8s.namespace.name=shop"}};
      ReusableRoute reusable;
      reusable.reuse = {epoch, epoch};
      reusable.choices = {{1, std::make_shared<const TunnelDecision>(decision)}};
      if (epoch != 0) engine_.RememberRoute(id, reusable);
      engine_.DecideTunnel(id, decision);
    }
  }
}

void EngineNode::DecideHeld() {
  for (ConnectionId id : undecided) {
    if (!known[id].decided) Decide(id, true);
  }
  undecided.clear();
}

ConnectionId EngineNode::AnyId() {
  if (known.empty() || script_.Byte() >= 240) return script_.Long();
  auto at = known.begin();
  std::advance(at, static_cast<long>(script_.Below(known.size())));
  return at->first;
}

void EngineNode::Drain(int deadline_ms) {
  ++drains;
  engine_.Drain(deadline_ms);
}

bool EngineNode::AllClosed() const {
  return std::all_of(known.begin(), known.end(), [](auto& each) { return each.second.closed; });
}

void EngineNode::CheckEnd() {
  TakeEvents(false);
  Expect(AllClosed(), "every connection that was announced has closed");
  Expect(engine_.table().size() == 0, "no connection is left");
  Expect(engine_.counters().undecided == 0, "none is undecided");
  Expect(engine_.counters().tunnels_inbound == 0 && engine_.counters().tunnels_outbound == 0, "no tunnel is left");
  Expect(engine_.budget().held() == 0 && engine_.budget().granted() == 0, "no memory is held or promised");
  Expect(engine_.sources().size() == 0, "no source is counted");
  for (size_t i = 0; i < engine_.threads(); ++i) {
    Expect(engine_.loop(static_cast<int>(i)).tunnel_count == 0, "no thread counts a tunnel");
  }
}

}  // namespace culvert
