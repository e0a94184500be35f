#include "relay.h"

#include <sys/epoll.h>

#include <cerrno>

#include "engine.h"

namespace culvert {

static constexpr uint32_t kEdge = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;

Relay::Relay(Loop& loop, Origin origin, Fd accepted, SourcePorts::Claim claim)
    : Connection(loop, std::move(origin)),
      initiator_(*this, loop.engine().budget()),
      target_(*this, loop.engine().budget()),
      client_claim_(std::move(claim)),
      deadline_([this] { Terminate(Reason::kConnectFailed, ETIMEDOUT, EndedBy::kEngine); }) {
  initiator_.fd = std::move(accepted);
}

Relay::~Relay() {
  DropPipe(initiator_);
  DropPipe(target_);
}

void Relay::DialOut(const Address& to) {
  Engine& engine = loop_.engine();
  int error;
  {
    NetnsScope scope(pod()->netns.get(), loop_.own_netns());
    error = scope.error() != 0 ? scope.error() : DialPeer(to, engine.options().mark, false, &target_.fd);
  }
  Started(error);
}

void Relay::DialApplication(const std::shared_ptr<Pod>& target, const DeliverDecision& decision) {
  target_pod_ = target;
  // As if its listeners were dialled, which are closed.
  if (target != pod() && target->removed) return Terminate(Reason::kConnectFailed, ECONNREFUSED, EndedBy::kTarget);
  if (target->IsListenerPort(decision.to.port)) return Terminate(Reason::kSelfCall, 0, EndedBy::kEngine);
  int error;
  {
    NetnsScope scope(target->netns.get(), loop_.own_netns());
    error = scope.error() != 0 ? scope.error()
                               : culvert::DialApplication(decision.to, decision.source, *target->ports, &target_.fd,
                                                          &dial_claim_);
  }
  Started(error);
}

void Relay::Started(int error) {
  error = loop_.engine().Admit(&target_.fd, error);
  if (error == 0) error = loop_.Watch(target_.fd.get(), &target_, kEdge);
  if (IsExhausted(error)) return Terminate(Reason::kLimit, static_cast<uint32_t>(error), EndedBy::kEngine);
  if (error != 0) return Terminate(Reason::kConnectFailed, static_cast<uint32_t>(error), EndedBy::kTarget);
  loop_.Arm(deadline_, loop_.engine().options().timeouts.dial_ms);
}

void Relay::Connected() {
  int error = loop_.Watch(initiator_.fd.get(), &initiator_, kEdge);
  if (error != 0) return Terminate(Reason::kLimit, static_cast<uint32_t>(error), EndedBy::kEngine);
  deadline_.Cancel();
  open_ = true;
  ReportConnected(0, false, "", {});
}

void Relay::Side::OnReady(uint32_t events) {
  if (relay.finished()) return;
  if ((events & (EPOLLIN | EPOLLRDHUP | EPOLLERR | EPOLLHUP)) != 0) readable = true;
  if ((events & (EPOLLRDHUP | EPOLLERR | EPOLLHUP)) != 0) hangup = true;
  if ((events & EPOLLERR) != 0) error = true;
  relay.loop_.Schedule(&relay);
}

void Relay::Run() {
  if (finished()) return;
  if (!open_) {
    int error = TakeSocketError(target_.fd.get());
    if (error != 0) return Terminate(Reason::kConnectFailed, static_cast<uint32_t>(error), EndedBy::kTarget);
    Connected();
    return;
  }
  if (!Flush(initiator_) || !Flush(target_)) return;
  if (!Move(initiator_, target_) || !Move(target_, initiator_)) return;
  // With no direction left to find out by reading, the error is read here.
  for (Side* side : {&initiator_, &target_}) {
    if (!side->error || !side->ended || side == gone_) continue;
    side->error = false;
    if (!Failed(*side, TakeSocketError(side->fd.get()))) return;
  }
  CheckDone();
}

void Relay::CheckDone() {
  if (gone_ != nullptr) {
    Side& other = gone_ == &initiator_ ? target_ : initiator_;
    if (!other.shut) return;
    other.fd.Reset();
    return Finish(Reason::kAppReset, static_cast<uint32_t>(gone_error_), NameOf(*gone_), true);
  }
  if (!initiator_.ended || !target_.ended || !initiator_.shut || !target_.shut) return;
  initiator_.fd.Reset();
  target_.fd.Reset();
  Finish(Reason::kOk, 0, NameOf(*ended_first_));
}

bool Relay::Flush(Side& side) {
  while (side.Holds()) {
    ssize_t sent;
    if (side.pending.empty()) {
      sent = side.pipe->Drain(side.fd.get());
    } else {
      iovec vectors[16];
      msghdr message = {};
      message.msg_iov = vectors;
      message.msg_iovlen = static_cast<size_t>(side.pending.Peek(vectors, 16));
      sent = sendmsg(side.fd.get(), &message, MSG_NOSIGNAL);
      if (sent > 0) side.pending.Consume(static_cast<size_t>(sent));
    }
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0 && errno != EAGAIN) return Failed(side, errno);
    CountPiped(side);
    if (sent < 0) return true;
  }
  return true;
}

bool Relay::Move(Side& from, Side& to) {
  // What `to` refuses is waited for: its socket's own buffer is what keeps it busy meanwhile.
  for (size_t moved = 0; from.readable && !from.ended && !to.Holds();) {
    if (moved >= kTurnBytes) {
      loop_.Schedule(this);
      break;
    }
    int error = 0;
    ssize_t got = to.bulk ? Splice(from, to, &error) : Copy(from, to, &error);
    if (got == -EINTR) continue;
    if (got == -EAGAIN) {
      from.readable = false;
      break;
    }
    if (got < 0) return Failed(from, static_cast<int>(-got));
    if (got == 0) {
      from.ended = true;
      if (ended_first_ == nullptr) ended_first_ = &from;
      break;
    }
    moved += static_cast<size_t>(got);
    if (&from == &initiator_) {
      CountSent(static_cast<uint64_t>(got));
    } else {
      CountReceived(static_cast<uint64_t>(got));
    }
    if (error != 0) return Failed(to, error);
  }
  if (!to.Holds()) {
    DropPipe(to);
    if (from.ended && !to.shut) {
      to.shut = true;
      shutdown(to.fd.get(), SHUT_WR);
    }
  }
  return true;
}

ssize_t Relay::Copy(Side& from, Side& to, int* error) {
  uint8_t* scratch = loop_.plain_scratch();
  size_t most = loop_.engine().budget().exhausted() ? kScarceReadBytes : kReadBytes;
  ssize_t got = recv(from.fd.get(), scratch, most, 0);
  if (got < 0) return -errno;
  if (got == 0) return 0;
  auto length = static_cast<size_t>(got);
  to.bulk = length == kReadBytes;
  // After a short read the next edge tells of more, unless the end is already here.
  if (length < most && !from.hangup) from.readable = false;
  ssize_t sent = send(to.fd.get(), scratch, length, MSG_NOSIGNAL);
  if (sent < 0 && errno != EAGAIN && errno != EINTR) *error = errno;
  size_t taken = sent < 0 ? 0 : static_cast<size_t>(sent);
  if (*error == 0) to.pending.Append(scratch + taken, length - taken);
  return got;
}

ssize_t Relay::Splice(Side& from, Side& to, int* error) {
  if (to.pipe == nullptr) to.pipe = loop_.pipes().Take();
  if (to.pipe == nullptr || loop_.engine().budget().exhausted()) return Copy(from, to, error);
  ssize_t got = to.pipe->Fill(from.fd.get());
  if (got < 0) return -errno;
  if (got == 0) return 0;
  to.bulk = static_cast<size_t>(got) >= kBulkBytes;
  ssize_t sent = to.pipe->Drain(to.fd.get());
  if (sent < 0 && errno != EAGAIN && errno != EINTR) *error = errno;
  CountPiped(to);
  return got;
}

void Relay::CountPiped(Side& side) {
  size_t held = side.pipe == nullptr ? 0 : side.pipe->held();
  MemoryBudget& budget = loop_.engine().budget();
  if (held > side.counted) budget.Add(static_cast<int64_t>(held - side.counted));
  if (held < side.counted) budget.Remove(static_cast<int64_t>(side.counted - held));
  side.counted = held;
}

void Relay::DropPipe(Side& side) {
  if (side.pipe == nullptr) return;
  loop_.pipes().Give(std::move(side.pipe));
  CountPiped(side);
}

bool Relay::Failed(Side& side, int error) {
  // Outbound: the initiator is the pod's application. Plaintext inbound: the target is. Both are sockets of
  // applications, so a reset is `app_reset` whoever made it; `endedBy` says which.
  if (!side.ended || gone_ != nullptr) {
    Terminate(Reason::kAppReset, static_cast<uint32_t>(error), NameOf(side));
    return false;
  }
  // What it sent is whole and is still delivered, as through a tunnel; it wants no more itself.
  gone_ = &side;
  gone_error_ = error;
  side.pending.Clear();
  DropPipe(side);
  side.shut = true;
  ResetOnClose(side.fd.get());
  side.fd.Reset();
  OtherOf(side).ended = true;
  return true;
}

void Relay::PodEnded(const std::shared_ptr<Pod>& ended) {
  if (target_pod_ == nullptr || target_pod_ == pod()) return Connection::PodEnded(ended);
  if (ended == pod()) Terminate(Reason::kDrained, 0, EndedBy::kInitiator);
  if (ended == target_pod_) Terminate(Reason::kDrained, 0, EndedBy::kTarget);
}

void Relay::Terminate(Reason reason, uint32_t detail, EndedBy by) {
  if (finished()) return;
  deadline_.Cancel();
  for (Side* side : {&initiator_, &target_}) {
    if (!side->fd) continue;
    ResetOnClose(side->fd.get());
    side->fd.Reset();
  }
  Finish(reason, detail, by);
}

}  // namespace culvert
