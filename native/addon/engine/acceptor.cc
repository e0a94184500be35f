#include "acceptor.h"

#include <sys/epoll.h>

#include <cerrno>

#include "captured.h"
#include "engine.h"
#include "inbound_tunnel.h"
#include "outbound_stream.h"
#include "sockets.h"

namespace culvert {

Pod::Pod() = default;
Pod::~Pod() = default;

Acceptor::Acceptor(Loop& loop, std::shared_ptr<Pod> pod, Kind kind, int listener)
    : loop_(loop), pod_(pod.get()), weak_pod_(pod), kind_(kind), listener_(listener), resume_([this] { Resume(); }) {
  Resume();
}

Acceptor::~Acceptor() = default;

void Acceptor::Stop() {
  if (stopped_) return;
  stopped_ = true;
  resume_.Cancel();
  loop_.Unwatch(listener_);
}

void Acceptor::OnReady(uint32_t) {
  if (!stopped_) loop_.Schedule(this);
}

void Acceptor::Pause(int ms) {
  loop_.Rewatch(listener_, this, 0);
  loop_.Arm(resume_, ms);
}

void Acceptor::Resume() {
  if (stopped_ || loop_.Rewatch(listener_, this, EPOLLIN) == 0) return;
  // The first time, or epoll could not take it then.
  if (loop_.Watch(listener_, this, EPOLLIN) != 0) loop_.Arm(resume_, kExhaustedPauseMs);
}

bool Acceptor::MustPause() {
  Engine& engine = loop_.engine();
  if (kind_ == Kind::kHbone) return false;
  Counter bound;
  if (engine.events().full()) {
    bound = Counter::kEventQueueFull;
  } else if (pod_->undecided.load(std::memory_order_relaxed) >= engine.options().limits.undecided_per_pod) {
    bound = Counter::kUndecidedPerPod;
  } else if (engine.counters().undecided.load(std::memory_order_relaxed) >= engine.options().limits.undecided_total) {
    bound = Counter::kUndecidedTotal;
  } else if (engine.budget().overdrawn()) {
    bound = Counter::kBufferBytes;
  } else {
    return false;
  }
  engine.counters().Add(bound);
  return true;
}

void Acceptor::Run() {
  for (int i = 0; i < kAcceptsPerTurn && !stopped_; ++i) {
    if (MustPause()) return Pause(kPauseMs);
    sockaddr_storage storage = {};
    socklen_t length = sizeof storage;
    Fd fd(accept4(listener_, reinterpret_cast<sockaddr*>(&storage), &length, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!fd) {
      // Accepting again at once would only spin: the connection waits in the backlog.
      if (IsExhausted(errno)) {
        loop_.engine().counters().Add(Counter::kDescriptors);
        Pause(kExhaustedPauseMs);
      }
      return;
    }
    Address peer = Address::FromSockaddr(storage);
    if (kind_ == Kind::kHbone) {
      AcceptTunnel(std::move(fd), peer);
    } else {
      Capture(std::move(fd), peer);
    }
  }
}

void Acceptor::Capture(Fd fd, const Address& client) {
  Engine& engine = loop_.engine();
  std::shared_ptr<Pod> pod = weak_pod_.lock();
  Address original = Address::LocalOf(fd.get());
  ConnectionId id = engine.table().Allocate(loop_.index());
  if (id == 0 || pod == nullptr) {
    engine.counters().Add(Counter::kConnectionTableFull);
    ResetOnClose(fd.get());
    return;
  }
  bool outbound = kind_ == Kind::kOutbound;
  auto known = outbound ? pod->routes.Find(original, engine.epoch()) : nullptr;
  size_t choice = known == nullptr ? 0 : known->Draw(loop_.random().Number());
  // Two ids, as a traceparent has them.
  std::string trace = outbound ? loop_.random().Hex(16) + '-' + loop_.random().Hex(8) : std::string();
  EventRecord event(outbound ? EventKind::kOutbound : EventKind::kPlaintext, id);
  event.U64(known == nullptr ? 0 : known->reuse.ticket).U64(choice);
  event.Socket(client).Socket(original).Text(pod->id).Text(trace);
  if (!loop_.Announce(std::move(event), known != nullptr)) {
    engine.counters().Add(Counter::kEventQueueFull);
    engine.table().Release(id);
    ResetOnClose(fd.get());
    return;
  }
  Origin origin{id, pod, loop_.now()};
  int error = engine.Admit(&fd, 0);
  if (known != nullptr && error == 0) {
    engine.counters().Add(Counter::kDecisionsReused);
    const auto& decision = known->choices[choice].tunnel;
    return OutboundStream::Route(loop_, {std::move(origin), std::move(fd), decision, client, std::move(trace), 0});
  }
  // Owned by the loop's registry until it buries itself.
  auto* captured =
      new Captured(loop_, std::move(origin), outbound, std::move(fd), client, original, std::move(trace));
  if (error != 0) captured->Terminate(Reason::kLimit, static_cast<uint32_t>(error), EndedBy::kEngine);
}

void Acceptor::AcceptTunnel(Fd fd, const Address& peer) {
  Engine& engine = loop_.engine();
  std::shared_ptr<Pod> pod = weak_pod_.lock();
  Counter refused;
  if (engine.Admit(&fd, 0) != 0) return;
  if (pod == nullptr || !engine.sources().Enter(peer, engine.options().limits, loop_.now(), &refused)) {
    if (pod != nullptr) engine.counters().Add(refused);
    ResetOnClose(fd.get());
    return;
  }
  // Handed over before its first byte, so that no event of it can be on its way here.
  Loop& target = engine.LeastLoaded(-1);
  target.tunnel_count.fetch_add(1, std::memory_order_relaxed);
  auto accept = [fd = std::move(fd), pod, peer](Loop& loop) mutable {
    InboundTunnel::Accept(loop, std::move(fd), std::move(pod), peer);
  };
  if (&target == &loop_) {
    accept(loop_);
  } else {
    target.PostAlways(Task(std::move(accept)));
  }
}

}  // namespace culvert
