#include "tunnel_stream.h"

#include <sys/epoll.h>

#include <cerrno>

#include "engine.h"
#include "sockets.h"

namespace culvert {

TunnelStream::TunnelStream(Loop& loop, Origin origin, Direction direction)
    : Connection(loop, std::move(origin)), direction_(direction), pending_(loop.engine().budget()) {}

TunnelStream::~TunnelStream() { loop_.engine().budget().Grant(H2Session::kFirstWindow - window_); }

void TunnelStream::OnReady(uint32_t events) {
  if (finished()) return;
  if ((events & (EPOLLIN | EPOLLRDHUP | EPOLLERR | EPOLLHUP)) != 0) app_readable_ = true;
  if ((events & (EPOLLRDHUP | EPOLLERR | EPOLLHUP)) != 0) hangup_ = true;
  if (!open_) return OnEarlyReady(events);
  if ((events & EPOLLOUT) != 0) WritePending();
  if (finished()) return;
  if (app_readable_ && !app_ended_ && tunnel_ != nullptr) tunnel_->StreamReadable(this);
  // With no direction left to find out by reading or writing, the error is read here.
  if ((events & EPOLLERR) != 0 && (app_ended_ || tunnel_ == nullptr)) AppFailed(TakeSocketError(fd_.get()));
}

ssize_t TunnelStream::ReadPayload(uint8_t* to, size_t capacity) {
  if (!open_ || app_ended_) return -EAGAIN;
  while (true) {
    ssize_t got = recv(fd_.get(), to, capacity, 0);
    if (got > 0) {
      // After a short read the next edge tells of more, unless the end is already here.
      if (static_cast<size_t>(got) < capacity && !hangup_) app_readable_ = false;
      if (direction_ == Direction::kOutbound) {
        CountSent(static_cast<uint64_t>(got));
      } else {
        CountReceived(static_cast<uint64_t>(got));
      }
      return got;
    }
    if (got == 0) {
      app_ended_ = true;
      app_readable_ = false;
      return 0;
    }
    if (errno == EINTR) continue;
    if (errno == EAGAIN) app_readable_ = false;
    return -errno;
  }
}

void TunnelStream::Receive(const iovec* vectors, int count) {
  if (finished()) return;
  size_t total = 0;
  for (int i = 0; i < count; ++i) total += vectors[i].iov_len;
  if (direction_ == Direction::kOutbound) {
    CountReceived(total);
  } else {
    CountSent(total);
  }
  size_t written = 0;
  if (open_ && pending_.empty()) {
    msghdr message = {};
    message.msg_iov = const_cast<iovec*>(vectors);
    message.msg_iovlen = static_cast<size_t>(count);
    ssize_t sent = sendmsg(fd_.get(), &message, MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN && errno != EINTR) return AppFailed(errno);
    written = sent < 0 ? 0 : static_cast<size_t>(sent);
  }
  if (written < total && pending_.empty()) progress_at_ = loop_.now();
  size_t skip = written;
  for (int i = 0; i < count; ++i) {
    size_t part = std::min(skip, vectors[i].iov_len);
    skip -= part;
    pending_.Append(static_cast<const uint8_t*>(vectors[i].iov_base) + part, vectors[i].iov_len - part);
  }
  Written(written);
}

void TunnelStream::WritePending() {
  while (!pending_.empty()) {
    iovec vectors[16];
    msghdr message = {};
    message.msg_iov = vectors;
    message.msg_iovlen = static_cast<size_t>(pending_.Peek(vectors, 16));
    ssize_t sent = sendmsg(fd_.get(), &message, MSG_NOSIGNAL);
    if (sent < 0) {
      if (errno == EAGAIN || errno == EINTR) return;
      return AppFailed(errno);
    }
    pending_.Consume(static_cast<size_t>(sent));
    progress_at_ = loop_.now();
    Written(static_cast<size_t>(sent));
  }
  if (peer_ended_) ShutdownApp();
}

void TunnelStream::Written(size_t length) {
  if (length == 0 || tunnel_ == nullptr) return;
  tunnel_->h2().ConsumeStream(stream_id_, length);
  tunnel_->MarkDirty();
  GrowWindow(length);
}

void TunnelStream::GrowWindow(size_t length) {
  consumed_ += static_cast<uint32_t>(length);
  if (consumed_ < static_cast<uint32_t>(window_)) return;
  // A whole window within two round trips: it is the window that holds the peer back.
  bool fast = loop_.now() - window_since_ < 2 * tunnel_->round_trip();
  consumed_ = 0;
  window_since_ = loop_.now();
  if (!fast || peer_ended_ || window_ >= H2Session::kLargestWindow || !loop_.engine().budget().MayGrow()) return;
  loop_.engine().budget().Grant(window_);
  window_ *= 2;
  tunnel_->h2().SetWindow(stream_id_, window_);
}

void TunnelStream::Opened() {
  open_ = true;
  window_since_ = loop_.now();
  if (!peer_ended_ && loop_.engine().budget().MayWiden()) {
    loop_.engine().budget().Grant(H2Session::kOpenWindow - window_);
    window_ = H2Session::kOpenWindow;
    tunnel_->h2().SetWindow(stream_id_, window_);
  }
  app_readable_ = true;
  tunnel_->StreamReadable(this);
  WritePending();
}

void TunnelStream::OnWindowOpen() {
  if (open_ && app_readable_ && !app_ended_ && tunnel_ != nullptr) tunnel_->StreamReadable(this);
}

void TunnelStream::OnPeerEnded() {
  if (finished() || peer_ended_) return;
  peer_ended_ = true;
  peer_ended_first_ = !app_ended_;
  if (open_ && pending_.empty()) ShutdownApp();
}

void TunnelStream::OnEndSent() { CheckDone(); }

void TunnelStream::ShutdownApp() {
  if (finished()) return;
  if (!shut_) {
    shut_ = true;
    shutdown(fd_.get(), SHUT_WR);
  }
  CheckDone();
}

void TunnelStream::CheckDone() {
  if (peer_ended_ && pending_.empty() && shut_ && (app_ended_ || finishing_)) Done();
}

void TunnelStream::Done() {
  if (finished()) return;
  if (tunnel_ != nullptr) tunnel_->h2().Detach(stream_id_);
  LeaveTunnel();
  fd_.Reset();
  Finish(Reason::kOk, 0, peer_ended_first_ ? peer_side() : app_side());
}

void TunnelStream::OnStreamClosed(uint32_t code) {
  if (tunnel_ != nullptr) tunnel_->FlushReceived();
  if (finished()) return;
  LeaveTunnel();
  if (peer_ended_) {
    // Complete, or the peer wants no more from us: what it sent is whole and is still delivered.
    finishing_ = true;
    if (open_) return CheckDone();
  }
  OnPeerReset(code);
}

void TunnelStream::OnPeerReset(uint32_t code) { Terminate(Reason::kPeerReset, code, peer_side()); }

void TunnelStream::OnTunnelLost(Reason, uint32_t detail) {
  LeaveTunnel();
  Terminate(Reason::kTunnelLost, detail, EndedBy::kEngine);
}

void TunnelStream::AppFailed(int error) { Terminate(Reason::kAppReset, static_cast<uint32_t>(error), app_side()); }

void TunnelStream::LeaveTunnel() {
  if (tunnel_ == nullptr) return;
  Tunnel* tunnel = tunnel_;
  tunnel_ = nullptr;
  OnLeft();
  tunnel->RemoveStream(this);
}

void TunnelStream::Terminate(Reason reason, uint32_t detail, EndedBy by) {
  if (finished()) return;
  if (tunnel_ != nullptr) {
    // Never CANCEL or NO_ERROR: a peer may read those as a clean end, and cut data would look whole.
    if (stream_id_ > 0) tunnel_->h2().Reset(stream_id_, NGHTTP2_CONNECT_ERROR);
    LeaveTunnel();
  }
  pending_.Clear();
  if (fd_) ResetOnClose(fd_.get());
  fd_.Reset();
  Finish(reason, detail, by);
}

}  // namespace culvert
