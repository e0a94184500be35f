#include "engine_object.h"

#include <cerrno>
#include <cstdlib>
#include <mutex>
#include <set>

namespace culvert {

namespace {

/**
 * Engines whose threads run. process.exit() runs neither destructors nor cleanup hooks while threads still use what
 * exit() tears down: an exit handler stops them first.
 */
class Running {
 public:
  static Running& Get() {
    static auto* const running = new Running;
    return *running;
  }
  void Add(Engine* engine) {
    std::lock_guard<std::mutex> lock(mutex_);
    engines_.insert(engine);
  }
  void Remove(Engine* engine) {
    std::lock_guard<std::mutex> lock(mutex_);
    engines_.erase(engine);
  }
  void StopAll() {
    std::lock_guard<std::mutex> lock(mutex_);
    for (Engine* engine : engines_) engine->Stop();
    engines_.clear();
  }

 private:
  std::mutex mutex_;
  std::set<Engine*> engines_;
};

std::string Text(const Napi::Value& value) { return value.As<Napi::String>().Utf8Value(); }
int Int(const Napi::Value& value) { return value.As<Napi::Number>().Int32Value(); }
ConnectionId Id(const Napi::Value& value) {
  return static_cast<ConnectionId>(value.As<Napi::Number>().Int64Value());
}

std::vector<std::string> Texts(const Napi::Value& value) {
  auto array = value.As<Napi::Array>();
  std::vector<std::string> out;
  out.reserve(array.Length());
  for (uint32_t i = 0; i < array.Length(); ++i) out.push_back(Text(array.Get(i)));
  return out;
}

/** Name, value, name, value ... */
Headers Pairs(const Napi::Value& value) {
  std::vector<std::string> flat = Texts(value);
  Headers out;
  for (size_t i = 0; i + 1 < flat.size(); i += 2) out.emplace_back(std::move(flat[i]), std::move(flat[i + 1]));
  return out;
}

Reuse ReadReuse(const Napi::Value& ticket, const Napi::Value& epoch) {
  auto number = [](const Napi::Value& value) { return static_cast<uint64_t>(value.As<Napi::Number>().Int64Value()); };
  return {number(ticket), number(epoch)};
}

/** `get(1)` to `get(6)`: ip, port, authority, identity, expected identities, headers. */
template <typename F>
TunnelDecision ReadTunnelDecision(F get) {
  TunnelDecision out;
  out.via = Address::Parse(Text(get(1)), static_cast<uint16_t>(Int(get(2))));
  out.authority = Text(get(3));
  out.tls_identity = Text(get(4));
  out.expected_identities = Texts(get(5));
  out.headers = Pairs(get(6));
  return out;
}

Options ReadOptions(const Napi::Object& from) {
  Options out;
  out.threads = Int(from.Get("threads"));
  out.mark = from.Get("mark").As<Napi::Number>().Uint32Value();
  out.groups = Text(from.Get("groups"));
  auto limits = from.Get("limits").As<Napi::Object>();
  out.limits.undecided_per_pod = Int(limits.Get("undecidedPerPod"));
  out.limits.undecided_total = Int(limits.Get("undecidedTotal"));
  out.limits.streams_per_tunnel = Int(limits.Get("streamsPerTunnel"));
  out.limits.handshakes_per_thread = Int(limits.Get("handshakesPerThread"));
  out.limits.handshakes_per_source = Int(limits.Get("handshakesPerSource"));
  out.limits.tunnels_per_source = Int(limits.Get("tunnelsPerSource"));
  out.limits.inbound_tunnels = Int(limits.Get("inboundTunnels"));
  out.limits.failed_handshakes_per_source = Int(limits.Get("failedHandshakesPerSource"));
  out.limits.buffer_bytes = limits.Get("bufferBytes").As<Napi::Number>().Int64Value();
  out.limits.idle_tunnels = Int(limits.Get("idleTunnels"));
  out.limits.reserved_descriptors = Int(limits.Get("reservedDescriptors"));
  auto timeouts = from.Get("timeouts").As<Napi::Object>();
  out.timeouts.decision_ms = Int(timeouts.Get("decisionMs"));
  out.timeouts.dial_ms = Int(timeouts.Get("dialMs"));
  out.timeouts.handshake_ms = Int(timeouts.Get("handshakeMs"));
  out.timeouts.preface_ms = Int(timeouts.Get("prefaceMs"));
  out.timeouts.connect_response_ms = Int(timeouts.Get("connectResponseMs"));
  out.timeouts.ping_interval_ms = Int(timeouts.Get("pingIntervalMs"));
  out.timeouts.ping_timeout_ms = Int(timeouts.Get("pingTimeoutMs"));
  out.timeouts.stalled_stream_ms = Int(timeouts.Get("stalledStreamMs"));
  out.timeouts.idle_tunnel_ms = Int(timeouts.Get("idleTunnelMs"));
  return out;
}

}  // namespace

EngineObject::EngineObject(const Napi::CallbackInfo& info)
    : Napi::ObjectWrap<EngineObject>(info), env_(info.Env()) {
  Napi::Env env = info.Env();
  // Before our own hook: hooks run last in, first out, and the threads must be gone before the function is.
  bridge_ = std::make_shared<Bridge>(Bridge{this});
  wake_ = Wake::New(env, info[1].As<Napi::Function>(), "culvert-engine", 0, 1, new BridgeHolder(bridge_),
                    [](Napi::Env, void*, BridgeHolder* holder) { delete holder; }, static_cast<void*>(nullptr));
  wake_.Unref(env);
  engine_ = std::make_unique<Engine>(ReadOptions(info[0].As<Napi::Object>()), [this] { wake_.NonBlockingCall(); });
  napi_add_env_cleanup_hook(env, OnCleanup, this);
  Running::Get().Add(engine_.get());
  // Not collected while its threads run.
  Ref();
}

EngineObject::~EngineObject() {
  bridge_->self = nullptr;
  if (!closed_) {
    StopThreads();
    napi_remove_env_cleanup_hook(env_, OnCleanup, this);
  }
}

void EngineObject::OnCleanup(void* self) { static_cast<EngineObject*>(self)->StopThreads(); }

void EngineObject::StopThreads() {
  Running::Get().Remove(engine_.get());
  engine_->Stop();
}

void EngineObject::OnWake(Napi::Env env, Napi::Function callback, BridgeHolder* bridge, void*) {
  if (env == nullptr || callback.IsEmpty()) return;
  EngineObject* self = (*bridge)->self;
  if (self == nullptr || self->closed_) return;
  std::vector<uint8_t> records;
  bool more = self->engine_->events().Take(kBatch, &records);
  // Asked for before the call: an exception in JavaScript must not stop the events for good.
  if (more) self->wake_.NonBlockingCall();
  if (!records.empty()) callback.Call({Napi::Buffer<uint8_t>::Copy(env, records.data(), records.size())});
}

Napi::Value EngineObject::Start(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), engine_->Start());
}

Napi::Value EngineObject::AddPod(const Napi::CallbackInfo& info) {
  int listeners[3] = {-1, -1, -1};
  int inherited[3] = {-1, -1, -1};
  bool inherits = info[4].IsArray();
  for (uint32_t i = 0; inherits && i < 3; ++i) inherited[i] = Int(info[4].As<Napi::Array>().Get(i));
  int error = engine_->stopped()
                  ? ECANCELED
                  : engine_->AddPod(Text(info[0]), Int(info[1]), Text(info[2]), info[3].As<Napi::Boolean>().Value(),
                                    listeners, inherits ? inherited : nullptr);
  if (error != 0) return Napi::Number::New(info.Env(), error);
  auto out = Napi::Array::New(info.Env(), 3);
  for (uint32_t i = 0; i < 3; ++i) out.Set(i, Napi::Number::New(info.Env(), listeners[i]));
  return out;
}

Napi::Value EngineObject::RemovePod(const Napi::CallbackInfo& info) {
  if (!engine_->stopped()) engine_->RemovePod(Text(info[0]), Int(info[1]));
  return info.Env().Undefined();
}

Napi::Value EngineObject::SetIdentity(const Napi::CallbackInfo& info) {
  if (engine_->stopped()) return info.Env().Undefined();
  IdentityMaterial material{Text(info[0]), Text(info[1]), Text(info[2]), Text(info[3]), Texts(info[4])};
  std::string error;
  if (engine_->SetIdentity(material, &error)) return info.Env().Undefined();
  return Napi::String::New(info.Env(), error);
}

Napi::Value EngineObject::RemoveIdentity(const Napi::CallbackInfo& info) {
  if (!engine_->stopped()) engine_->RemoveIdentity(Text(info[0]));
  return info.Env().Undefined();
}

Napi::Value EngineObject::SetEpoch(const Napi::CallbackInfo& info) {
  engine_->SetEpoch(static_cast<uint64_t>(info[0].As<Napi::Number>().Int64Value()));
  return info.Env().Undefined();
}

Napi::Value EngineObject::RememberRoute(const Napi::CallbackInfo& info) {
  ReusableRoute route;
  route.reuse = ReadReuse(info[1], info[2]);
  auto choices = info[3].As<Napi::Array>();
  for (uint32_t i = 0; i < choices.Length(); ++i) {
    auto choice = choices.Get(i).As<Napi::Array>();
    uint32_t below = choice.Get(0u).As<Napi::Number>().Uint32Value();
    auto decision = ReadTunnelDecision([&](uint32_t at) { return choice.Get(at); });
    route.choices.push_back({below, std::make_shared<const TunnelDecision>(std::move(decision))});
  }
  return Napi::Boolean::New(info.Env(), route.choices.empty() || engine_->RememberRoute(Id(info[0]), std::move(route)));
}

Napi::Value EngineObject::DecideTunnel(const Napi::CallbackInfo& info) {
  auto decision = ReadTunnelDecision([&](uint32_t at) { return info[at]; });
  return Napi::Boolean::New(info.Env(), engine_->DecideTunnel(Id(info[0]), std::move(decision)));
}

Napi::Value EngineObject::DecidePlain(const Napi::CallbackInfo& info) {
  Address to = Address::Parse(Text(info[1]), static_cast<uint16_t>(Int(info[2])));
  return Napi::Boolean::New(info.Env(), engine_->DecidePlain(Id(info[0]), to));
}

Napi::Value EngineObject::DecideDeliver(const Napi::CallbackInfo& info) {
  DeliverDecision decision;
  decision.to = Address::Parse(Text(info[1]), static_cast<uint16_t>(Int(info[2])));
  decision.source = Address::Parse(Text(info[3]), 0);
  decision.headers = Pairs(info[4]);
  decision.reuse = ReadReuse(info[5], info[6]);
  decision.authority = Text(info[7]);
  return Napi::Boolean::New(info.Env(), engine_->DecideDeliver(Id(info[0]), std::move(decision)));
}

Napi::Value EngineObject::DecideDirect(const Napi::CallbackInfo& info) {
  DeliverDecision decision;
  decision.to = Address::Parse(Text(info[2]), static_cast<uint16_t>(Int(info[3])));
  decision.source = Address::Parse(Text(info[4]), 0);
  return Napi::Boolean::New(info.Env(), engine_->DecideDirect(Id(info[0]), Text(info[1]), std::move(decision)));
}

Napi::Value EngineObject::DecideRefuse(const Napi::CallbackInfo& info) {
  auto reason = static_cast<Reason>(Int(info[1]));
  return Napi::Boolean::New(info.Env(), engine_->DecideRefuse(Id(info[0]), reason, Int(info[2])));
}

Napi::Value EngineObject::CloseConnection(const Napi::CallbackInfo& info) {
  engine_->Close(Id(info[0]), static_cast<Reason>(Int(info[1])));
  return info.Env().Undefined();
}

Napi::Value EngineObject::Drain(const Napi::CallbackInfo& info) {
  if (!engine_->stopped()) engine_->Drain(Int(info[0]));
  return info.Env().Undefined();
}

Napi::Value EngineObject::Stats(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  auto out = Napi::Object::New(env);
  auto& counters = engine_->counters();
  out.Set("connections", Napi::Number::New(env, static_cast<double>(engine_->table().size())));
  out.Set("undecided", Napi::Number::New(env, static_cast<double>(counters.undecided.load())));
  out.Set("tunnelsInbound", Napi::Number::New(env, static_cast<double>(counters.tunnels_inbound.load())));
  out.Set("tunnelsOutbound", Napi::Number::New(env, static_cast<double>(counters.tunnels_outbound.load())));
  out.Set("rememberedChoices", Napi::Number::New(env, static_cast<double>(engine_->route_budget().held())));
  out.Set("bufferedBytes", Napi::Number::New(env, static_cast<double>(engine_->budget().held())));
  out.Set("descriptorsMax", Napi::Number::New(env, engine_->descriptors().end()));
  auto by_name = Napi::Object::New(env);
  for (size_t i = 0; i < static_cast<size_t>(Counter::kCount); ++i) {
    auto counter = static_cast<Counter>(i);
    if (counter == Counter::kLastBound) continue;
    by_name.Set(CounterName(counter), Napi::Number::New(env, static_cast<double>(counters.Get(counter))));
  }
  out.Set("counters", by_name);
  return out;
}

Napi::Value EngineObject::LiveBytes(const Napi::CallbackInfo& info) {
  uint64_t sent = 0;
  uint64_t received = 0;
  if (!engine_->LiveBytes(Id(info[0]), &sent, &received)) return info.Env().Undefined();
  auto out = Napi::Array::New(info.Env(), 2);
  out.Set(0u, Napi::Number::New(info.Env(), static_cast<double>(sent)));
  out.Set(1u, Napi::Number::New(info.Env(), static_cast<double>(received)));
  return out;
}

Napi::Value EngineObject::Close(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (closed_) return env.Undefined();
  StopThreads();
  closed_ = true;
  napi_remove_env_cleanup_hook(env_, OnCleanup, this);
  wake_.Release();
  Unref();
  std::vector<uint8_t> records;
  engine_->events().Take(SIZE_MAX, &records);
  return Napi::Buffer<uint8_t>::Copy(env, records.data(), records.size());
}

Napi::Function EngineObject::Define(Napi::Env env) {
  return DefineClass(env, "Engine",
                     {
                         InstanceMethod("start", &EngineObject::Start),
                         InstanceMethod("addPod", &EngineObject::AddPod),
                         InstanceMethod("removePod", &EngineObject::RemovePod),
                         InstanceMethod("setIdentity", &EngineObject::SetIdentity),
                         InstanceMethod("removeIdentity", &EngineObject::RemoveIdentity),
                         InstanceMethod("setEpoch", &EngineObject::SetEpoch),
                         InstanceMethod("rememberRoute", &EngineObject::RememberRoute),
                         InstanceMethod("decideTunnel", &EngineObject::DecideTunnel),
                         InstanceMethod("decidePlain", &EngineObject::DecidePlain),
                         InstanceMethod("decideDeliver", &EngineObject::DecideDeliver),
                         InstanceMethod("decideDirect", &EngineObject::DecideDirect),
                         InstanceMethod("decideRefuse", &EngineObject::DecideRefuse),
                         InstanceMethod("closeConnection", &EngineObject::CloseConnection),
                         InstanceMethod("drain", &EngineObject::Drain),
                         InstanceMethod("stats", &EngineObject::Stats),
                         InstanceMethod("liveBytes", &EngineObject::LiveBytes),
                         InstanceMethod("close", &EngineObject::Close),
                     });
}

void InitEngine(Napi::Env env, Napi::Object exports) {
  static std::once_flag once;
  std::call_once(once, [] {
    Running::Get();
    atexit([] { Running::Get().StopAll(); });
  });
  exports.Set("Engine", EngineObject::Define(env));
  auto layout = Napi::Object::New(env);
  auto reasons = Napi::Array::New(env);
  const std::vector<std::string>& names = ReasonNames();
  for (uint32_t i = 0; i < names.size(); ++i) reasons.Set(i, Napi::String::New(env, names[i]));
  layout.Set("reasons", reasons);
  layout.Set("recordHeaderBytes", Napi::Number::New(env, kRecordHeaderBytes));
  layout.Set("eventKinds", Napi::Number::New(env, static_cast<double>(EventKind::kDrained)));
  exports.Set("engineLayout", layout);
}

}  // namespace culvert
