#include "inbound_tunnel.h"

#include <netinet/tcp.h>
#include <sys/epoll.h>

#include "engine.h"
#include "inbound_stream.h"
#include "sockets.h"

namespace culvert {

void InboundTunnel::Accept(Loop& loop, Fd fd, std::shared_ptr<Pod> pod, const Address& peer) {
  Engine& engine = loop.engine();
  auto identity = engine.identities().Find(pod->tls_identity);
  if (identity == nullptr || pod->removed || loop.stopping()) {
    if (identity == nullptr) engine.counters().Add(Counter::kIdentityMissing);
    engine.sources().Leave(peer, true);
    loop.tunnel_count.fetch_sub(1, std::memory_order_relaxed);
    ResetOnClose(fd.get());
    return;
  }
  while (loop.handshakes.size() >= static_cast<size_t>(engine.options().limits.handshakes_per_thread)) {
    loop.handshakes.Victim()->Evict();
  }
  new InboundTunnel(loop, std::move(fd), std::move(pod), peer, std::move(identity));
}

InboundTunnel::InboundTunnel(Loop& loop, Fd fd, std::shared_ptr<Pod> pod, const Address& peer,
                             std::shared_ptr<const Identity> identity)
    : Tunnel(loop, std::move(pod), Direction::kInbound, peer),
      goaway_([this] { announced_ ? SendFinalGoaway() : AnnounceEnd(); }) {
  fd_ = std::move(fd);
  loop_.handshakes.Enter(*this, peer.Network());
  local_ = Address::LocalOf(fd_.get());
  setsockopt(fd_.get(), IPPROTO_TCP, TCP_USER_TIMEOUT, &kUserTimeoutMs, sizeof kUserTimeoutMs);
  loop_.Watch(fd_.get(), this, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
  PeerRule rule;
  rule.trust_domains = identity->trust_domains();
  StartTls(std::move(identity), std::move(rule));
}

InboundTunnel::~InboundTunnel() = default;

void InboundTunnel::OnHandshaken() {
  in_handshake_ = false;
  loop_.handshakes.Leave(*this);
  loop_.engine().sources().HandshakeDone(peer_);
}

void InboundTunnel::Evict() {
  evicted_ = true;
  loop_.engine().counters().Add(Counter::kHandshakesPerThread);
  ResetOnClose(fd_.get());
  Abort(Reason::kLimit, 0, CounterName(Counter::kHandshakesPerThread));
}

void InboundTunnel::OnUp() {
  up_since_ = idle_since_ = loop_.now();
  if (retiring_) Retire();
}

void InboundTunnel::OnRequest(int32_t stream, const std::string& authority, const Headers& headers, bool ended) {
  Engine& engine = loop_.engine();
  size_t bytes = authority.size();
  for (const auto& [name, value] : headers) bytes += name.size() + value.size();
  Counter bound = BoundOf(bytes);
  if (bound == Counter::kCount) {
    ConnectionId id = engine.table().Allocate(loop_.index());
    if (id == 0) {
      bound = Counter::kConnectionTableFull;
    } else {
      auto known = deliveries_.Find(authority, engine.epoch());
      EventRecord event(EventKind::kConnect, id);
      event.U64(known == nullptr ? 0 : known->reuse.ticket).Socket(peer_).Socket(local_).Text(pod_->id);
      event.Text(peer_identity()).Text(authority).Pairs(headers);
      if (loop_.Announce(std::move(event), known != nullptr)) {
        ++undecided_;
        undecided_bytes_ += bytes;
        auto* request = new InboundStream(loop_, {id, pod_, loop_.now()}, *this, stream, bytes);
        if (known != nullptr) {
          engine.counters().Add(Counter::kDecisionsReused);
          request->DecideDeliver(std::move(known));
        }
        if (ended) request->OnPeerEnded();
        return;
      }
      engine.table().Release(id);
      bound = Counter::kEventQueueFull;
    }
  }
  engine.counters().Add(bound);
  h2().Reset(stream, NGHTTP2_REFUSED_STREAM);
}

Counter InboundTunnel::BoundOf(size_t bytes) {
  Engine& engine = loop_.engine();
  const Limits& limits = engine.options().limits;
  if (!refusals_.Available(loop_.now())) return Counter::kRefusedRequests;
  if (undecided_ >= kUndecidedMax) return Counter::kUndecidedPerTunnel;
  if (undecided_ > 0 && undecided_bytes_ + bytes > kUndecidedBytesMax) return Counter::kUndecidedPerTunnel;
  if (pod_->undecided.load(std::memory_order_relaxed) >= limits.undecided_per_pod) return Counter::kUndecidedPerPod;
  if (engine.counters().undecided >= limits.undecided_total) return Counter::kUndecidedTotal;
  if (!MayTake()) return Counter::kBufferBytes;
  return Counter::kCount;
}

void InboundTunnel::Decided(size_t bytes) {
  --undecided_;
  undecided_bytes_ -= bytes;
}

void InboundTunnel::Remember(const std::shared_ptr<const DeliverDecision>& decision) {
  if (decision->reuse.epoch == loop_.engine().epoch()) deliveries_.Remember(decision->authority, decision);
}

void InboundTunnel::Retire() {
  if (announced_ || phase_ == Phase::kClosing || phase_ == Phase::kClosed) return;
  retiring_ = true;
  if (phase_ != Phase::kReady) return;
  // A peer that would hear of the end together with the beginning could never send a request, and its next tunnel
  // might fare no better. Only the end of the pod is more urgent than that.
  if (!pod_->removed && loop_.now() - up_since_ < kSecond) {
    if (!goaway_.armed()) loop_.Arm(goaway_, 1000);
    return;
  }
  AnnounceEnd();
}

void InboundTunnel::AnnounceEnd() {
  announced_ = true;
  if (phase_ != Phase::kReady) return;
  // Streams that are on their way when the peer reads this are still served: the last id comes a round trip later.
  h2().ShutdownNotice();
  h2().Ping();
  ping_awaited_ = true;
  goaway_due_ = true;
  loop_.Arm(goaway_, 1000);
  MarkDirty();
}

void InboundTunnel::OnPingAck() {
  Tunnel::OnPingAck();
  // An answer to an earlier PING may come first; the timer's second is then cut short by no more than a round trip.
  if (goaway_due_ && !ping_awaited_) loop_.Arm(goaway_, static_cast<int>(2 * round_trip() / kMillisecond) + 16);
}

void InboundTunnel::SendFinalGoaway() {
  goaway_due_ = false;
  if (phase_ != Phase::kReady) return;
  h2().FinalGoaway();
  MarkDirty();
}

void InboundTunnel::EverySecond() {
  Tunnel::EverySecond();
  // The peer closes what it does not use after one such time; who keeps it for two keeps it for us to close.
  Nanos idle = static_cast<Nanos>(loop_.engine().options().timeouts.idle_tunnel_ms) * 2 * kMillisecond;
  if (phase_ == Phase::kReady && stream_count() == 0 && loop_.now() - idle_since_ >= idle) Retire();
}

void InboundTunnel::OnDown(Reason, uint32_t) {
  goaway_.Cancel();
  loop_.handshakes.Leave(*this);
  SourceLimits& sources = loop_.engine().sources();
  if (in_handshake_ && !evicted_) sources.Failed(peer_, loop_.engine().options().limits, loop_.now());
  sources.Leave(peer_, in_handshake_);
}

}  // namespace culvert
