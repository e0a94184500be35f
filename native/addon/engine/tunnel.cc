#include "tunnel.h"

#include <sys/epoll.h>

#include <cerrno>

#include "engine.h"
#include "tunnel_stream.h"

namespace culvert {

const std::string Tunnel::kNobody;

Tunnel::Tunnel(Loop& loop, std::shared_ptr<Pod> pod, Direction direction, const Address& peer)
    : loop_(loop),
      pod_(std::move(pod)),
      direction_(direction),
      peer_(peer),
      id_(loop.engine().NextTunnelId()),
      started_(loop.now()),
      output_(loop.outputs(), loop.engine().budget()),
      deadline_([this] { OnPhaseTimeout(); }),
      resume_([this] { loop_.Schedule(this); }) {
  loop_.tunnels().PushBack(this);
  Counters& counters = loop_.engine().counters();
  (direction_ == Direction::kInbound ? counters.tunnels_inbound : counters.tunnels_outbound)++;
}

Tunnel::~Tunnel() {
  Counters& counters = loop_.engine().counters();
  (direction_ == Direction::kInbound ? counters.tunnels_inbound : counters.tunnels_outbound)--;
  loop_.tunnel_count.fetch_sub(1, std::memory_order_relaxed);
}

void Tunnel::StartTls(std::shared_ptr<const Identity> identity, PeerRule rule) {
  identity_ = identity;
  records_ = std::make_unique<Records>(std::move(identity), direction_ == Direction::kInbound, std::move(rule), output_);
  phase_ = Phase::kHandshaking;
  Arm(loop_.engine().options().timeouts.handshake_ms);
  loop_.Schedule(this);
}

void Tunnel::OnReady(uint32_t events) {
  if (phase_ == Phase::kClosed) return;
  if ((events & (EPOLLIN | EPOLLRDHUP | EPOLLERR | EPOLLHUP)) != 0) readable_ = true;
  if ((events & (EPOLLRDHUP | EPOLLERR | EPOLLHUP)) != 0) hangup_ = true;
  if ((events & EPOLLOUT) != 0) {
    blocked_ = false;
    loop_.MarkDirty(this);
  }
  loop_.Schedule(this);
}

void Tunnel::Run() {
  if (phase_ == Phase::kClosed || records_ == nullptr) return;
  if (phase_ == Phase::kHandshaking && !loop_.TakeHandshakeStep()) return loop_.Schedule(this);
  if (phase_ == Phase::kHandshaking && !records_->handshaken() && !Decrypt()) return;
  bool again = readable_;
  Nanos until = Now() + kSlice;
  for (int i = 0; again && i < kReceivesPerTurn && (i == 0 || Now() < until); ++i) {
    // Memory is spent: what the peer sends waits in the kernel, and in the end at the peer.
    if (!MayTake()) {
      loop_.engine().counters().Add(Counter::kBufferBytes);
      loop_.Arm(resume_, 20);
      break;
    }
    if (!ReceiveOnce(&again)) return;
  }
  if (again && !resume_.armed()) loop_.Schedule(this);
  loop_.MarkDirty(this);
}

bool Tunnel::ReceiveOnce(bool* again) {
  ssize_t got = recv(fd_.get(), loop_.cipher_scratch(), Loop::kScratchBytes, 0);
  if (got < 0) {
    if (errno == EINTR) return true;
    *again = readable_ = false;
    if (errno == EAGAIN) return true;
    Abort(Reason::kTunnelLost, static_cast<uint32_t>(errno), "");
    return false;
  }
  if (got == 0) {
    PeerEnded(false);
    return false;
  }
  silent_since_ = loop_.now();
  auto length = static_cast<size_t>(got);
  if (length < Loop::kScratchBytes && !hangup_) *again = readable_ = false;
  records_->Feed(loop_.cipher_scratch(), length);
  return Decrypt();
}

bool Tunnel::Decrypt() {
  if (phase_ == Phase::kClosing) {
    // Only the peer's end is of interest now; its bytes are taken so that close() is no reset.
    records_->Feed(nullptr, 0);
    return true;
  }
  if (!records_->handshaken()) {
    Records::Status status = records_->Handshake();
    if (status == Records::Status::kFailed) {
      TlsFailed();
      return false;
    }
    loop_.MarkDirty(this);
    if (status == Records::Status::kWant) return true;
    phase_ = Phase::kPreface;
    Arm(loop_.engine().options().timeouts.preface_ms);
    OnHandshaken();
    h2_ = std::make_unique<H2Session>(*this, loop_.engine().counters(), direction_ == Direction::kInbound,
                                      loop_.plain_scratch());
    h2_->Start();
  }
  size_t filled = 0;
  while (true) {
    size_t length = 0;
    Records::Status status = records_->Read(loop_.plain_scratch() + filled, Loop::kScratchBytes - 16 - filled, &length);
    if (status == Records::Status::kOk) {
      filled += length;
      if (filled + SSL3_RT_MAX_PLAIN_LENGTH <= Loop::kScratchBytes - 16) continue;
      if (!Deliver(filled)) return false;
      filled = 0;
      continue;
    }
    if (records_->key_update_flood()) {
      loop_.engine().counters().Add(Counter::kKeyUpdateFlood);
      Abort(Reason::kLimit, 0, CounterName(Counter::kKeyUpdateFlood));
      return false;
    }
    if (filled > 0 && !Deliver(filled)) return false;
    if (status == Records::Status::kWant) return true;
    if (status == Records::Status::kClosed) {
      PeerEnded(true);
    } else {
      TlsFailed();
    }
    return false;
  }
}

bool Tunnel::Deliver(size_t length) {
  bool alive = h2_->Receive(loop_.plain_scratch(), length, loop_.now());
  if (phase_ == Phase::kClosed) return false;
  FlushReceived();
  if (!alive) {
    bool preface = phase_ == Phase::kPreface;
    loop_.engine().counters().Add(preface ? Counter::kNotHttp2 : Counter::kProtocolError);
    int code = -h2_->error_code();
    std::string message = h2_->error();
    // What nghttp2 has to say to the peer goes out first.
    if (h2_->Send()) SendOutput();
    // A flood may make nghttp2 give up within the very bytes in which it passed a rate.
    Abort(h2_->violated() ? h2_->violation() : Reason::kH2Failure, static_cast<uint32_t>(code), message);
    return false;
  }
  return phase_ != Phase::kClosed;
}

void Tunnel::PeerEnded(bool notified) {
  if (phase_ == Phase::kClosing) return Dispose();
  if (phase_ == Phase::kHandshaking || phase_ == Phase::kPreface) {
    loop_.engine().counters().Add(Counter::kHandshakeFailed);
    return Abort(phase_ == Phase::kPreface ? Reason::kH2Failure : Reason::kTlsFailure, 0, "closed by the peer");
  }
  // An end without close_notify while streams are open is truncation, whoever made it.
  if (!notified && stream_count_ > 0) loop_.engine().counters().Add(Counter::kTruncatedTunnel);
  Abort(stream_count_ > 0 ? Reason::kTunnelLost : Reason::kOk, 0, "");
}

void Tunnel::TlsFailed() {
  std::string message = records_->error();
  // Until the peer's SETTINGS a failure is a refusal: a TLS 1.3 client is done before the server has judged it.
  bool up = phase_ == Phase::kReady;
  loop_.engine().counters().Add(up ? Counter::kTlsError : Counter::kHandshakeFailed);
  Abort(Reason::kTlsFailure, static_cast<uint32_t>(records_->alert()), message);
}

void Tunnel::OnPhaseTimeout() {
  Counters& counters = loop_.engine().counters();
  switch (phase_) {
    case Phase::kConnecting:
      return Abort(Reason::kNetworkPolicy, ETIMEDOUT, "");
    case Phase::kHandshaking:
      counters.Add(Counter::kHandshakeTimeout);
      return Abort(Reason::kTlsFailure, ETIMEDOUT, "handshake timed out");
    case Phase::kPreface:
      counters.Add(Counter::kPrefaceTimeout);
      return Abort(Reason::kH2Failure, ETIMEDOUT, "no SETTINGS");
    case Phase::kClosing:
      return Dispose();
    case Phase::kReady:
    case Phase::kClosed:
      return;
  }
}

void Tunnel::Up() {
  phase_ = Phase::kReady;
  deadline_.Cancel();
  up_reported_ = true;
  silent_since_ = loop_.now();
  EventRecord event(EventKind::kTunnelUp, id_);
  event.U64((Now() - started_) / 1000).U8(static_cast<uint8_t>(direction_)).Socket(peer_).Text(pod_->id).Text(peer_identity());
  loop_.Report(std::move(event));
  h2_->Ping();
  ping_awaited_ = true;
  ping_sent_ = loop_.now();
  OnUp();
}

void Tunnel::ReportDown(Reason reason, uint32_t detail, const std::string& message) {
  EventRecord event(EventKind::kTunnelDown, id_, reason, detail);
  event.U8(static_cast<uint8_t>(direction_)).Socket(peer_).Text(pod_->id).Text(peer_identity()).Text(message);
  // A flood of strangers must not fill the queue; a tunnel that TypeScript knows gets its end.
  if (up_reported_) {
    loop_.Report(std::move(event));
  } else {
    loop_.Announce(std::move(event), true);
  }
  while (auto* node = streams_.front()) {
    auto* stream = static_cast<TunnelStream*>(node);
    stream->OnTunnelLost(reason == Reason::kOk ? Reason::kTunnelLost : reason, detail);
  }
}

void Tunnel::Abort(Reason reason, uint32_t detail, const std::string& message) {
  if (phase_ == Phase::kClosed) return;
  if (phase_ == Phase::kClosing) return Dispose();
  phase_ = Phase::kClosed;
  received_count_ = 0;
  received_stream_ = nullptr;
  ReportDown(reason, detail, message);
  OnDown(reason, detail);
  SendOutput();  // an alert or GOAWAY, if the socket takes it
  phase_ = Phase::kClosing;
  Dispose();
}

void Tunnel::CloseGracefully(Reason reason, const std::string& message) {
  if (phase_ == Phase::kClosing || phase_ == Phase::kClosed) return;
  phase_ = Phase::kClosing;
  ReportDown(reason, 0, message);
  OnDown(reason, 0);
  if (records_ != nullptr) records_->Shutdown();
  Arm(1000);
  loop_.MarkDirty(this);
}

void Tunnel::Dispose() {
  if (phase_ == Phase::kClosed) return;
  phase_ = Phase::kClosed;
  deadline_.Cancel();
  resume_.Cancel();
  RegistryNode::Unlink();
  fd_.Reset();
  loop_.Bury(std::unique_ptr<Mortal>(this));
}

}  // namespace culvert
