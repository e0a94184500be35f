#include "outbound_tunnel.h"

#include <sys/epoll.h>

#include <cerrno>

#include "engine.h"
#include "outbound_stream.h"
#include "sockets.h"

namespace culvert {

OutboundTunnel::OutboundTunnel(Loop& loop, std::shared_ptr<TunnelShare> share)
    : Tunnel(loop, share->pod, Direction::kOutbound, share->via), share_(std::move(share)), idle_([this] { Retire(); }) {
  share_->tunnel = this;
  identity_ = share_->identity;
}

void OutboundTunnel::Connect() {
  const Options& options = loop_.engine().options();
  int error;
  {
    NetnsScope scope(pod_->netns.get(), loop_.own_netns());
    error = scope.error() != 0 ? scope.error() : DialPeer(peer_, options.mark, true, &fd_);
  }
  error = loop_.engine().Admit(&fd_, error);
  if (error == 0) error = loop_.Watch(fd_.get(), this, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
  if (error != 0) {
    return Abort(IsExhausted(error) ? Reason::kLimit : Reason::kConnectFailed, static_cast<uint32_t>(error), "");
  }
  Arm(options.timeouts.dial_ms);
}

void OutboundTunnel::Run() {
  if (phase_ == Phase::kConnecting && fd_) {
    int error = TakeSocketError(fd_.get());
    if (error != 0) {
      Reason reason = error == ETIMEDOUT ? Reason::kNetworkPolicy : Reason::kConnectFailed;
      return Abort(reason, static_cast<uint32_t>(error), "");
    }
    PeerRule rule;
    rule.expected = share_->expected;
    StartTls(share_->identity, std::move(rule));
  }
  Tunnel::Run();
}

void OutboundTunnel::Join(OutboundStream* stream) {
  idle_.Cancel();
  bool usable = !goaway_ && !terminated_ && phase_ != Phase::kClosing && phase_ != Phase::kClosed;
  if (!usable || (phase_ == Phase::kReady && h2().IdsExhausted())) {
    if (usable) Retire();
    stream->Retry();
    return;
  }
  if (phase_ == Phase::kReady) {
    Submit(stream);
  } else {
    waiting_.PushBack(static_cast<MemberNode*>(stream));
  }
}

void OutboundTunnel::Submit(OutboundStream* stream) {
  static_cast<MemberNode*>(stream)->Unlink();
  AddStream(stream);
  stream->Request(*this);
  MarkDirty();
}

void OutboundTunnel::OnUp() {
  int own = loop_.engine().options().limits.streams_per_tunnel;
  int limit = static_cast<int>(std::min<uint32_t>(static_cast<uint32_t>(own), h2().PeerStreamsMax()));
  share_->limit = limit;
  share_->ready = true;
  int submitted = 0;
  while (auto* node = waiting_.PopFront()) {
    auto* stream = static_cast<OutboundStream*>(node);
    if (submitted++ < limit) {
      Submit(stream);
    } else {
      loop_.engine().counters().Add(Counter::kPoolWaiting);
      stream->Retry();
    }
  }
  EndIfEmpty();
}

void OutboundTunnel::Leave() {
  loop_.engine().pool().Release(share_);
  EndIfEmpty();
}

void OutboundTunnel::OnEmpty() { EndIfEmpty(); }

void OutboundTunnel::EndIfEmpty() {
  if (phase_ != Phase::kReady || stream_count() > 0 || !waiting_.empty()) return;
  if (!retiring_) {
    loop_.Arm(idle_, loop_.engine().options().timeouts.idle_tunnel_ms);
    loop_.engine().pool().SetIdle(share_, true);
    return;
  }
  // A stream may be promised and on its way from another thread: it will find the tunnel closed and go elsewhere.
  if (terminated_) return;
  terminated_ = true;
  h2().Terminate(NGHTTP2_NO_ERROR);
  MarkDirty();
}

void OutboundTunnel::Retire() {
  if (!retiring_) {
    retiring_ = true;
    idle_.Cancel();
    loop_.engine().pool().Retire(share_);
  }
  EndIfEmpty();
}

void OutboundTunnel::OnGoaway() {
  goaway_ = true;
  loop_.engine().pool().Retire(share_);
  // Requests that nghttp2 has queued and not sent can no longer be sent on this tunnel.
  for (auto* node = streams_.front(); node != nullptr;) {
    auto* next = streams_.next(node);
    auto* stream = static_cast<OutboundStream*>(node);
    if (!stream->Sent()) stream->Retry();
    node = next;
  }
  Retire();
}

void OutboundTunnel::OnDown(Reason reason, uint32_t detail) {
  idle_.Cancel();
  loop_.engine().pool().Retire(share_);
  share_->dead = true;
  share_->tunnel = nullptr;
  while (auto* node = waiting_.PopFront()) {
    auto* stream = static_cast<OutboundStream*>(node);
    if (reason == Reason::kOk) {
      stream->Retry();
    } else {
      stream->OnTunnelLost(reason, detail);
    }
  }
}

void OutboundTunnel::EverySecond() {
  Tunnel::EverySecond();
  share_->congested = congested_;
  if (phase_ == Phase::kReady && (loop_.now() >= share_->retire_at || share_->identity->expired())) Retire();
}

}  // namespace culvert
