#include "engine_harness.h"

#include "certificates.h"
#include "fixed_random.h"

namespace culvert {

namespace {

const std::string kClientId = "spiffe://cluster.local/ns/shop/sa/client";
const std::string kServerId = "spiffe://cluster.local/ns/shop/sa/server";

/** Two of each, made once. */
const IdentityMaterial& Material(const std::string& name, size_t which) {
  static const std::map<std::string, std::vector<IdentityMaterial>>* const all = [] {
    FixRandom(1);
    TestAuthority authority;
    auto* made = new std::map<std::string, std::vector<IdentityMaterial>>;
    for (const std::string& id : {kClientId, kServerId}) {
      for (int i = 0; i < 2; ++i) (*made)[id].push_back(authority.Issue(id));
    }
    return made;
  }();
  return all->at(name)[which % 2];
}

void SetIdentity(EngineNode& node, const std::string& name, size_t which) {
  std::string error;
  Expect(node.engine().SetIdentity(Material(name, which), &error), "an identity is taken");
}

}  // namespace

EngineHarness::EngineHarness(ByteSource& script) : script_(script), kernel_(script.Word()), began_(kernel_.now()), kind_(script.Byte()) {
  FixRandom(2);
  netns_ = kernel_.Open(File::Kind::kNetns);
  Options options = MakeOptions();
  client_ = std::make_unique<EngineNode>(script, options);
  server_ = std::make_unique<EngineNode>(script, options);
  SetIdentity(*client_, kClientId, 0);
  SetIdentity(*server_, kServerId, 0);
  AddPods();
  for (EngineNode* node : {client_.get(), server_.get()}) node->engine().SetEpoch(node->epoch = 1);
}

EngineHarness::~EngineHarness() = default;

Options EngineHarness::MakeOptions() {
  Options options;
  options.groups = "X25519:P-256";
  uint8_t size = script_.Byte();
  options.threads = 1 + (size & 1);
  options.timeouts.idle_tunnel_ms = 10000;
  options.timeouts.stalled_stream_ms = 2000;
  // Small bounds are reached.
  if ((size & 2) != 0) options.limits.streams_per_tunnel = 2;
  if ((size & 4) != 0) options.limits.buffer_bytes = 1 << 20;
  if ((size & 12) != 0) undisturbed_ = false;
  if ((size & 8) != 0) {
    options.limits.undecided_per_pod = 2;
    options.limits.idle_tunnels = 1;
    options.limits.handshakes_per_thread = 1;
  }
  if ((size & 16) != 0) kernel_.set_capacity(1000 + 100 * (size >> 5));
  return options;
}

void EngineHarness::AddPods() {
  int listeners[3], beside[3];
  if (client_->engine().AddPod(client_pod_, netns_, kClientId, false, listeners) == 0) {
    client_->beside = "beside";
    client_->engine().AddPod(client_->beside, netns_, kServerId, false, beside);
    outbound_port_ = kernel_.Find(listeners[0], File::Kind::kSocket)->bound.port;
  }
  if (server_->engine().AddPod(server_pod_, netns_, kServerId, false, listeners) == 0) {
    plaintext_port_ = kernel_.Find(listeners[1], File::Kind::kSocket)->bound.port;
    hbone_port_ = kernel_.Find(listeners[2], File::Kind::kSocket)->bound.port;
  }
  for (EngineNode* node : {client_.get(), server_.get()}) node->route = {hbone_port_, kClientId, kServerId};
}

void EngineHarness::Run() {
  if (kind_ == kFair) {
    RunFair();
    return Finish();
  }
  Settle(4);
  for (int steps = 0; steps < 300 && !script_.done(); ++steps) Step();
  Finish();
}

void EngineHarness::Step() {
  uint8_t what = script_.Byte();
  if (what < 48) return Connect();
  if (what < 112) {
    Application* application = Choose();
    if (application != nullptr) ActOn(*application);
    return;
  }
  if (what < 144) return Settle(1 + what % 16);
  if (what < 192) return Wire();
  if (what < 208) return Advance();
  if (what < 232) return Manage(what % 2 == 0 ? *client_ : *server_);
  Break();
}

void EngineHarness::Connect() {
  uint8_t how = script_.Byte();
  if (how % 16 == 15) return ConnectRaw();
  bool plaintext = how % 8 == 7;
  client_->plain = how % 8 == 6;
  client_->direct = how % 8 == 5;
  Address from = Address::Parse("10.0.0.1", static_cast<uint16_t>(next_port_ + 20000));
  // Now and then a place where somebody was before.
  uint16_t port = how % 16 == 4 ? kSharedPort : next_port_++;
  Endpoint* end = kernel_.Dial(plaintext ? plaintext_port_ : outbound_port_, from, Address::Parse("10.0.0.2", port));
  if (end == nullptr) return;
  applications_.push_back({end, true, port});
  if (port == kSharedPort) ++next_port_;
  if (how >= 128) Write(applications_.back(), script_.Size(100000));
  if (how >= 192) Settle(24);
}

/** A stranger at the tunnel's door. */
void EngineHarness::ConnectRaw() {
  Endpoint* end = kernel_.Dial(hbone_port_, Address::Parse("10.0.0.9", next_port_++), Address::Parse("10.0.0.2", 15008));
  if (end == nullptr) return;
  raw_.push_back(end);
  kernel_.Write(end, script_.Flag() ? script_.Bytes(script_.Size(200)) : "\x16\x03\x01\x01");
}

EngineHarness::Application* EngineHarness::Choose() {
  return applications_.empty() ? nullptr : &applications_[script_.Below(applications_.size())];
}

void EngineHarness::ActOn(Application& application) {
  uint8_t what = script_.Byte();
  if (application.closed) return;
  if (what < 110) return Write(application, script_.Size(300000));
  if (what < 200) return Read(application, 1 + script_.Size(300000));
  if (what < 230) {
    application.shut = true;
    return kernel_.Shut(application.end);
  }
  // Whoever closes before the end has come may cut what the other still sends.
  undisturbed_ = false;
  application.closed = true;
  kernel_.CloseEnd(application.end, what < 245);
}

void EngineHarness::Wire() {
  uint8_t what = script_.Byte();
  if (what < 96) {
    (what % 2 == 0 ? *client_ : *server_).Turn(what / 2);
  } else if (what < 192) {
    auto& ends = kernel_.ends();
    if (!ends.empty()) kernel_.Deliver(ends[script_.Below(ends.size())].get(), script_.Size(100000));
  } else if (what < 224) {
    AnswerDials(false);
  } else {
    (what % 2 == 0 ? *client_ : *server_).TakeEvents(deciding_);
  }
}

void EngineHarness::Advance() {
  uint8_t what = script_.Byte();
  kernel_.Advance((what < 128 ? what : script_.Word()) * kMillisecond);
  // Deadlines may have passed.
  if (kernel_.now() - began_ > 2 * kSecond) undisturbed_ = false;
}

/** What is asked of an engine. */
void EngineHarness::Manage(EngineNode& node) {
  Engine& engine = node.engine();
  bool client = &node == client_.get();
  const std::string& name = client ? kClientId : kServerId;
  uint8_t what = script_.Byte();
  switch (what % 12) {
    case 0:
    case 1:
      SetIdentity(node, name, script_.Byte());
      return;
    case 2:
      undisturbed_ = false;
      engine.RemoveIdentity(name);
      return;
    case 3:
      undisturbed_ = false;
      engine.RemovePod(!client ? server_pod_ : what < 192 ? client_pod_ : client_->beside, script_.Word());
      return;
    case 4:
      return AddPods();
    case 5:
      undisturbed_ = false;
      return engine.Close(node.AnyId(), Reason::kDenied);
    case 6:
    case 7:
      undisturbed_ = false;
      return node.Decide(node.AnyId(), false);
    case 8:
      return node.DecideHeld();
    case 9:
      deciding_ = !deciding_;
      return;
    case 10:
      undisturbed_ = false;
      node.refusing = !node.refusing;
      return;
    default:
      if (what < 200) return engine.SetEpoch(node.epoch = what % 4);
      undisturbed_ = false;
      node.Drain(script_.Word());
  }
}

/** What goes wrong around an engine. */
void EngineHarness::Break() {
  static constexpr int kErrors[] = {EMFILE, ENOBUFS, ECONNREFUSED, ENETUNREACH, EADDRNOTAVAIL, EINTR, ENOMEM, ENOSPC};
  undisturbed_ = false;
  uint8_t what = script_.Byte();
  if (what < 96) {
    auto call = static_cast<Call>(what % static_cast<int>(Call::kCount));
    int error = call == Call::kReceive || call == Call::kSend ? EINTR : kErrors[script_.Byte() % std::size(kErrors)];
    return kernel_.Fail(call, error, 1 + what / 16);
  }
  if (what == 100) return kernel_.LimitFiles(script_.Byte());
  if (what < 112) {
    answering_ = !answering_;
    return;
  }
  auto& ends = kernel_.ends();
  Endpoint* end = ends.empty() ? nullptr : ends[script_.Below(ends.size())].get();
  if (end == nullptr) return;
  if (what < 176) {
    end->frozen = !end->frozen;
  } else if (end->file != nullptr && end->peer != nullptr) {
    // Somebody in between ends it.
    end->reset_on_wire = end->peer->reset_on_wire = true;
  }
}

}  // namespace culvert
