// Tunnel, continued: its streams, whose turn it is, and what goes out.
#include <sys/socket.h>

#include <cerrno>
#include <utility>

#include "engine.h"
#include "tunnel.h"
#include "tunnel_stream.h"

namespace culvert {

/** Payload that one stream may send before the next one gets its turn: fills whole TLS records with its header. */
static constexpr size_t kQuantum = 8 * 16384 - 9;
/** The same for a stream that has the tunnel to itself. */
static constexpr size_t kLoneQuantum = 16 * 16384 - 9;
static constexpr size_t kQueuedFramesMax = 5000;

void Tunnel::AddStream(TunnelStream* stream) {
  if (stream_count_ == 0) silent_since_ = loop_.now();
  streams_.PushBack(stream);
  ++stream_count_;
}

void Tunnel::RemoveStream(TunnelStream* stream) {
  if (!static_cast<MemberNode*>(stream)->linked()) return;
  static_cast<MemberNode*>(stream)->Unlink();
  static_cast<RingNode*>(stream)->Unlink();
  if (received_stream_ == stream) {
    received_stream_ = nullptr;
    received_count_ = 0;
  }
  --stream_count_;
  loop_.MarkDirty(this);
  if (stream_count_ == 0 && phase_ == Phase::kReady) OnEmpty();
}

void Tunnel::StreamReadable(TunnelStream* stream) {
  if (phase_ != Phase::kReady) return;
  if (!static_cast<RingNode*>(stream)->linked()) ring_.PushBack(stream);
  loop_.MarkDirty(this);
}

bool Tunnel::OnFrames(const uint8_t* data, size_t length) { return records_->Write(data, length); }

void Tunnel::OnPeerSettings() {
  if (phase_ == Phase::kPreface) Up();
}

void Tunnel::OnData(H2Stream* stream, const uint8_t* data, size_t length) {
  auto* target = static_cast<TunnelStream*>(stream);
  if (received_stream_ != target || received_count_ == kVectorsMax) FlushReceived();
  received_stream_ = target;
  // nghttp2 cuts at its own buffer's edges: what is contiguous goes out as one.
  if (received_count_ > 0) {
    iovec& last = received_[received_count_ - 1];
    if (static_cast<uint8_t*>(last.iov_base) + last.iov_len == data) {
      last.iov_len += length;
      return;
    }
  }
  received_[received_count_++] = {const_cast<uint8_t*>(data), length};
}

void Tunnel::FlushReceived() {
  TunnelStream* stream = received_stream_;
  int count = received_count_;
  received_stream_ = nullptr;
  received_count_ = 0;
  if (stream != nullptr && count > 0) stream->Receive(received_, count);
}

void Tunnel::OnEnd(H2Stream* stream) {
  FlushReceived();
  // The bytes before the end may have ended the stream's object: ask by membership.
  auto* target = static_cast<TunnelStream*>(stream);
  if (static_cast<MemberNode*>(target)->linked()) target->OnPeerEnded();
}

void Tunnel::OnWindowOpen(H2Stream* stream) {
  if (stream != nullptr) {
    static_cast<TunnelStream*>(stream)->OnWindowOpen();
    return;
  }
  windows_opened_ = true;
  loop_.MarkDirty(this);
}

bool Tunnel::MayTake() const {
  const MemoryBudget& budget = loop_.engine().budget();
  if (!budget.exhausted() || h2_ == nullptr) return true;
  if (budget.overdrawn()) return false;
  size_t held = output_.held();
  for (auto* node = streams_.front(); node != nullptr; node = streams_.next(node)) {
    held += static_cast<TunnelStream*>(node)->pending_bytes();
  }
  return held < kShareBytes;
}

void Tunnel::OnPingAck() {
  if (!ping_awaited_) return;
  ping_awaited_ = false;
  round_trip_ = Now() - ping_sent_;
}

void Tunnel::PumpRing() {
  while (!ring_.empty() && output_.size() < kOutputMax && !blocked_ && h2_->connection_window() > 0) {
    auto* stream = static_cast<TunnelStream*>(ring_.PopFront());
    int error = 0;
    auto pumped = h2_->Pump(stream, stream->stream_id(), ring_.empty() ? kLoneQuantum : kQuantum, &error);
    switch (pumped) {
      case H2Session::Pumped::kMore:
        if (stream->readable()) ring_.PushBack(stream);
        break;
      case H2Session::Pumped::kDrained:
      case H2Session::Pumped::kBlocked:
        break;
      case H2Session::Pumped::kEnded:
        stream->OnEndSent();
        break;
      case H2Session::Pumped::kFailed:
        if (error == 0) return Abort(Reason::kTunnelLost, 0, h2_->error());
        stream->Terminate(Reason::kAppReset, static_cast<uint32_t>(error), stream->app_side());
        break;
    }
  }
}

void Tunnel::Flush() {
  if (phase_ == Phase::kClosed) return;
  if (h2_ != nullptr && phase_ != Phase::kClosing) {
    if (std::exchange(windows_opened_, false)) {
      for (auto* node = streams_.front(); node != nullptr; node = streams_.next(node)) {
        static_cast<TunnelStream*>(node)->OnWindowOpen();
      }
    }
    if (phase_ == Phase::kReady) PumpRing();
    if (phase_ == Phase::kClosed) return;
    if (!h2_->Send()) return Abort(Reason::kTunnelLost, 0, h2_->error());
    if (h2_->violated()) return CloseGracefully(h2_->violation(), h2_->error());
    if (h2_->QueuedFrames() > kQueuedFramesMax) {
      loop_.engine().counters().Add(Counter::kOutboundFrames);
      return Abort(Reason::kLimit, 0, CounterName(Counter::kOutboundFrames));
    }
  }
  if (!SendOutput()) return Abort(Reason::kTunnelLost, static_cast<uint32_t>(errno), "");
  if (phase_ == Phase::kClosing) {
    if (output_.size() == 0 && !fin_sent_) {
      fin_sent_ = true;
      shutdown(fd_.get(), SHUT_WR);
    }
    return;
  }
  if (h2_ != nullptr && h2_->over()) {
    if (stream_count_ > 0) return Abort(Reason::kTunnelLost, 0, h2_->error());
    return CloseGracefully();
  }
  if (!blocked_ && !ring_.empty() && phase_ == Phase::kReady && h2_->connection_window() > 0) loop_.MarkDirty(this);
}

bool Tunnel::SendOutput() {
  while (output_.size() > 0 && !blocked_ && fd_) {
    ssize_t sent = send(fd_.get(), output_.data(), output_.size(), MSG_NOSIGNAL);
    if (sent < 0) {
      if (errno == EINTR) continue;
      if (errno != EAGAIN) return phase_ == Phase::kClosed || phase_ == Phase::kClosing;
      blocked_ = true;
      blocked_since_ = loop_.now();
      break;
    }
    output_.Consume(static_cast<size_t>(sent));
  }
  return true;
}

void Tunnel::EverySecond() {
  if (phase_ != Phase::kReady) return;
  const Timeouts& timeouts = loop_.engine().options().timeouts;
  Nanos now = loop_.now();
  // Half of the ping interval is lost to this timer's own second: the time-out counts from silence, not from a ping.
  if (stream_count_ > 0) {
    if (now - silent_since_ >= static_cast<Nanos>(timeouts.ping_timeout_ms) * kMillisecond) {
      loop_.engine().counters().Add(Counter::kPingTimeout);
      return Abort(Reason::kTunnelLost, ETIMEDOUT, "no answer to PING");
    }
    if (now - ping_sent_ >= static_cast<Nanos>(timeouts.ping_interval_ms) * kMillisecond) {
      h2_->Ping();
      ping_sent_ = now;
      ping_awaited_ = true;
      loop_.MarkDirty(this);
    }
  }
  if (blocked_ && now - blocked_since_ >= kSecond) output_.Shrink();
  // The kernel of such a peer answers, so that nothing else would ever end this.
  if (blocked_ && now - blocked_since_ >= static_cast<Nanos>(timeouts.ping_timeout_ms) * kMillisecond) {
    loop_.engine().counters().Add(Counter::kUnreadOutput);
    return Abort(Reason::kLimit, 0, CounterName(Counter::kUnreadOutput));
  }
  seconds_congested_ = h2_->connection_window() < h2_->widest_window() / 4 ? seconds_congested_ + 1 : 0;
  congested_ = seconds_congested_ > 1;
  if (loop_.engine().budget().exhausted()) {
    TunnelStream* largest = nullptr;
    for (auto* node = streams_.front(); node != nullptr; node = streams_.next(node)) {
      auto* stream = static_cast<TunnelStream*>(node);
      if (!stream->StalledFor(static_cast<Nanos>(timeouts.stalled_stream_ms) * kMillisecond)) continue;
      if (largest == nullptr || stream->pending_bytes() > largest->pending_bytes()) largest = stream;
    }
    if (largest != nullptr) {
      loop_.engine().counters().Add(Counter::kStalledStreamReset);
      largest->Terminate(Reason::kLimit, 0, EndedBy::kEngine);
    }
  }
}

}  // namespace culvert
