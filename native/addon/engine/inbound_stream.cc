#include "inbound_stream.h"

#include <sys/epoll.h>

#include <cerrno>

#include "engine.h"
#include "inbound_tunnel.h"

namespace culvert {

InboundStream::InboundStream(Loop& loop, Origin origin, InboundTunnel& tunnel, int32_t stream,
                             size_t announced)
    : TunnelStream(loop, std::move(origin), Direction::kInbound), inbound_(tunnel), deadline_([this] {
        if (undecided_) {
          loop_.engine().counters().Add(Counter::kDecisionTimeout);
          Answer(503, Reason::kDecisionTimeout, 0, EndedBy::kEngine);
        } else {
          Answer(503, Reason::kConnectFailed, ETIMEDOUT, EndedBy::kTarget);
        }
      }),
      announced_(announced) {
  tunnel_ = &tunnel;
  stream_id_ = stream;
  tunnel.h2().Attach(stream, this);
  tunnel.AddStream(this);
  loop_.engine().counters().undecided.fetch_add(1, std::memory_order_relaxed);
  this->pod()->undecided.fetch_add(1, std::memory_order_relaxed);
  loop_.Arm(deadline_, loop_.engine().options().timeouts.decision_ms);
}

InboundStream::~InboundStream() = default;

void InboundStream::Decided() {
  if (!undecided_) return;
  undecided_ = false;
  loop_.engine().counters().undecided.fetch_sub(1, std::memory_order_relaxed);
  pod()->undecided.fetch_sub(1, std::memory_order_relaxed);
  inbound_.Decided(announced_);
}

void InboundStream::DecideDeliver(std::shared_ptr<const DeliverDecision> decision) {
  if (finished() || !undecided_) return;
  Decided();
  if (decision->reuse.ticket != 0) inbound_.Remember(decision);
  if (pod()->IsListenerPort(decision->to.port)) return Answer(503, Reason::kSelfCall, 0, EndedBy::kEngine);
  decision_ = std::move(decision);
  int error;
  {
    NetnsScope scope(pod()->netns.get(), loop_.own_netns());
    error = scope.error() != 0 ? scope.error()
                               : DialApplication(decision_->to, decision_->source, *pod()->ports, &fd_, &claim_);
  }
  error = loop_.engine().Admit(&fd_, error);
  if (error == 0) error = loop_.Watch(fd_.get(), this, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
  if (IsExhausted(error)) return Answer(503, Reason::kLimit, static_cast<uint32_t>(error), EndedBy::kEngine);
  if (error != 0) return Answer(503, Reason::kConnectFailed, static_cast<uint32_t>(error), EndedBy::kTarget);
  loop_.Arm(deadline_, loop_.engine().options().timeouts.dial_ms);
}

void InboundStream::OnEarlyReady(uint32_t) {
  int error = TakeSocketError(fd_.get());
  if (error != 0) return Answer(503, Reason::kConnectFailed, static_cast<uint32_t>(error), EndedBy::kTarget);
  if (tunnel_ == nullptr) return;
  deadline_.Cancel();
  tunnel_->h2().Accept(stream_id_, decision_->headers, this);
  decision_ = nullptr;
  ReportConnected(tunnel_->id(), false, tunnel_->peer_identity(), {});
  Opened();
}

void InboundStream::DecideRefuse(Reason reason, int http_status) {
  if (finished() || !undecided_) return;
  Answer(http_status, reason, 0, EndedBy::kEngine);
}

void InboundStream::Answer(int status, Reason reason, uint32_t detail, EndedBy by) {
  if (finished()) return;
  if (tunnel_ != nullptr) {
    inbound_.Refused();
    tunnel_->h2().Reject(stream_id_, status);
    tunnel_->MarkDirty();
    // Answered: Terminate must not reset it as well.
    stream_id_ = -1;
  }
  Terminate(reason, detail, by);
}

void InboundStream::Terminate(Reason reason, uint32_t detail, EndedBy by) {
  if (finished()) return;
  deadline_.Cancel();
  Decided();
  TunnelStream::Terminate(reason, detail, by);
}

void InboundStream::OnLeft() {
  deadline_.Cancel();
  Decided();
}

}  // namespace culvert
