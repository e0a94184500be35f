#include "outbound_stream.h"

#include <sys/epoll.h>

#include <cerrno>
#include <cstring>

#include "engine.h"
#include "outbound_tunnel.h"
#include "sockets.h"

namespace culvert {

template <typename F>
static void ReplaceIn(std::string* value, const char* name, F text) {
  size_t at = value->find(name);
  if (at != std::string::npos) value->replace(at, strlen(name), text());
}

void OutboundStream::Route(Loop& from, Routed routed) {
  Engine& engine = from.engine();
  Reason reason = Reason::kTunnelLost;
  auto share = engine.pool().Pick(routed.origin.pod, *routed.decision, &reason);
  if (share == nullptr) {
    auto* failed = new OutboundStream(from, std::move(routed));
    failed->Terminate(reason, 0, EndedBy::kEngine);
    return;
  }
  if (share->thread == from.index()) return Adopt(from, std::move(routed), std::move(share));
  Loop& target = engine.loop(share->thread);
  if (ConnectionTable::Slot* slot = engine.table().Find(routed.origin.id)) {
    slot->owner.store(share->thread, std::memory_order_release);
  }
  target.PostAlways(Task([routed = std::move(routed), share](Loop& loop) mutable {
    Adopt(loop, std::move(routed), std::move(share));
  }));
}

void OutboundStream::Adopt(Loop& loop, Routed routed, std::shared_ptr<TunnelShare> share) {
  auto* stream = new OutboundStream(loop, std::move(routed));
  stream->share_ = share;
  int error = loop.Watch(stream->fd_.get(), stream, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
  if (error != 0) return stream->Terminate(Reason::kLimit, static_cast<uint32_t>(error), EndedBy::kEngine);
  if (share->dead) return stream->Retry();
  bool dial = share->tunnel == nullptr;
  if (dial) new OutboundTunnel(loop, share);
  OutboundTunnel* tunnel = share->tunnel;
  tunnel->Join(stream);
  if (dial) tunnel->Connect();
}

OutboundStream::OutboundStream(Loop& loop, Routed routed)
    : TunnelStream(loop, std::move(routed.origin), Direction::kOutbound),
      decision_(std::move(routed.decision)),
      client_(routed.client),
      trace_(std::move(routed.trace)),
      attempts_(routed.attempts),
      deadline_([this] { Terminate(Reason::kConnectFailed, ETIMEDOUT, EndedBy::kEngine); }) {
  fd_ = std::move(routed.fd);
  const Timeouts& timeouts = loop_.engine().options().timeouts;
  // The tunnel's own deadlines come first and know the reason.
  loop_.Arm(deadline_, timeouts.dial_ms + timeouts.handshake_ms + timeouts.preface_ms);
}

OutboundStream::~OutboundStream() = default;

void OutboundStream::Request(OutboundTunnel& tunnel) {
  tunnel_ = &tunnel;
  is_new_ = tunnel.TakeNew();
  stream_id_ = tunnel.h2().SubmitConnect(decision_->authority, RequestHeaders(), this);
  if (stream_id_ < 0) return Retry();
  loop_.Arm(deadline_, loop_.engine().options().timeouts.connect_response_ms);
}

Headers OutboundStream::RequestHeaders() const {
  Headers headers = decision_->headers;
  for (auto& [name, value] : headers) {
    ReplaceIn(&value, "{client}", [this] { return client_.Text(); });
    ReplaceIn(&value, "{trace}", [this] { return trace_; });
  }
  return headers;
}

bool OutboundStream::Sent() const { return tunnel_ == nullptr || tunnel_->h2().Exists(stream_id_); }

void OutboundStream::OnEarlyReady(uint32_t events) {
  if ((events & EPOLLERR) != 0) Terminate(Reason::kAppReset, ECONNRESET, EndedBy::kInitiator);
}

void OutboundStream::OnResponse(int status, const Headers& headers) {
  if (finished() || open_ || status / 100 == 1) return;
  deadline_.Cancel();
  if (status != 200) {
    Reason reason = status == 401 ? Reason::kDenied : status == 503 ? Reason::kConnectFailed : Reason::kPeerStatus;
    return Terminate(reason, static_cast<uint32_t>(status), EndedBy::kTarget);
  }
  ReportConnected(tunnel_->id(), is_new_, tunnel_->peer_identity(), headers);
  decision_ = nullptr;
  trace_ = {};
  Opened();
}

void OutboundStream::OnPeerReset(uint32_t code) {
  if (open_ || code != NGHTTP2_REFUSED_STREAM) return TunnelStream::OnPeerReset(code);
  Retry();
}

void OutboundStream::OnTunnelLost(Reason reason, uint32_t detail) {
  // Requested and not answered: the peer has had no payload, so another tunnel may ask again.
  if (!open_ && tunnel_ != nullptr && reason == Reason::kTunnelLost && !loop_.stopping()) {
    LeaveTunnel();
    return Retry();
  }
  LeaveTunnel();
  Terminate(open_ ? Reason::kTunnelLost : reason, detail, open_ ? EndedBy::kEngine : EndedBy::kTarget);
}

void OutboundStream::Retry() {
  if (finished()) return;
  if (attempts_ + 1 >= kAttemptsMax || loop_.stopping() || pod()->removed) {
    return Terminate(Reason::kTunnelLost, 0, EndedBy::kEngine);
  }
  loop_.engine().counters().Add(Counter::kRetriedStreams);
  deadline_.Cancel();
  if (tunnel_ != nullptr && stream_id_ > 0) tunnel_->h2().Detach(stream_id_);
  LeaveTunnel();
  static_cast<MemberNode*>(this)->Unlink();
  GiveBack();
  loop_.Unwatch(fd_.get());
  Route(loop_, {HandOver(), std::move(fd_), std::move(decision_), client_, std::move(trace_), attempts_ + 1});
}

void OutboundStream::Terminate(Reason reason, uint32_t detail, EndedBy by) {
  if (finished()) return;
  deadline_.Cancel();
  TunnelStream::Terminate(reason, detail, by);
  // One that still waited is a member of its tunnel without having a stream.
  static_cast<MemberNode*>(this)->Unlink();
  GiveBack();
}

void OutboundStream::OnLeft() {
  deadline_.Cancel();
  GiveBack();
}

void OutboundStream::GiveBack() {
  if (share_ == nullptr) return;
  auto share = std::move(share_);
  share_ = nullptr;
  if (share->tunnel != nullptr) {
    share->tunnel->Leave();
    return;
  }
  loop_.engine().pool().Release(share);
  if (share->dead) return;
  // Its tunnel was never begun: nobody else would take it out of the directory. Who is on the way to it goes elsewhere.
  share->dead = true;
  loop_.engine().pool().Retire(share);
  loop_.tunnel_count.fetch_sub(1, std::memory_order_relaxed);
}

}  // namespace culvert
