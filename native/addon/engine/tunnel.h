// One TLS connection with HTTP/2 in it, and its streams: Connecting -> Handshaking -> Preface -> Ready -> Closing.
// Both directions; InboundTunnel and OutboundTunnel say what is special.
#pragma once

#include <sys/uio.h>

#include <memory>
#include <string>

#include "h2_session.h"
#include "loop.h"
#include "output_buffer.h"
#include "pod.h"
#include "records.h"
#include "types.h"

namespace culvert {

class TunnelStream;

/** Membership in the ring of streams that have data for the peer. */
class RingNode : public ListNode {};
/** Membership in the tunnel. */
class MemberNode : public ListNode {};

class Tunnel : public Mortal, public RegistryNode, public Pollable, public Runnable, public Flushable, public H2Handler {
 public:
  enum class Phase { kConnecting, kHandshaking, kPreface, kReady, kClosing, kClosed };

  Tunnel(Loop& loop, std::shared_ptr<Pod> pod, Direction direction, const Address& peer);
  ~Tunnel() override;

  // From the loop.
  void OnReady(uint32_t events) override;
  void Run() override;
  void Flush() override;
  virtual void EverySecond();

  /** No new streams; the tunnel closes when the last one has ended. Idempotent. */
  virtual void Retire() = 0;
  /** Now: streams are lost, the peer gets what is in the output buffer and no more. */
  void Abort(Reason reason, uint32_t detail, const std::string& message);

  // From its streams.
  void AddStream(TunnelStream* stream);
  void RemoveStream(TunnelStream* stream);
  /** The stream has, or may have, payload for the peer. */
  void StreamReadable(TunnelStream* stream);
  void MarkDirty() { loop_.MarkDirty(this); }
  /** False while memory is spent and this tunnel holds a share of it. */
  bool MayTake() const;
  /** Hands over payload that was received and still points into the scratch. */
  void FlushReceived();
  H2Session& h2() { return *h2_; }
  Nanos round_trip() const { return round_trip_; }

  TunnelId id() const { return id_; }
  Phase phase() const { return phase_; }
  const std::shared_ptr<Pod>& pod() const { return pod_; }
  const std::string& peer_identity() const { return records_ ? records_->peer_identity() : kNobody; }
  const std::shared_ptr<const Identity>& identity() const { return identity_; }
  size_t stream_count() const { return stream_count_; }

  // H2Handler.
  bool OnFrames(const uint8_t* data, size_t length) override;
  void OnPeerSettings() override;
  void OnData(H2Stream* stream, const uint8_t* data, size_t length) override;
  void OnEnd(H2Stream* stream) override;
  void OnWindowOpen(H2Stream* stream) override;
  void OnPingAck() override;

 protected:
  void StartTls(std::shared_ptr<const Identity> identity, PeerRule rule);
  /** GOAWAY is out or not needed: streams are lost, close_notify, FIN, a second for the peer's. */
  void CloseGracefully(Reason reason = Reason::kOk, const std::string& message = {});
  virtual void OnHandshaken() {}
  virtual void OnUp() = 0;
  /** The last of the streams has left. */
  virtual void OnEmpty() = 0;
  /** The tunnel is dead and its streams are gone. */
  virtual void OnDown(Reason reason, uint32_t detail) = 0;
  virtual void OnPhaseTimeout();
  void Arm(int ms) { loop_.Arm(deadline_, ms); }

  Loop& loop_;
  std::shared_ptr<Pod> pod_;
  const Direction direction_;
  const Address peer_;
  Fd fd_;
  Phase phase_ = Phase::kConnecting;
  std::shared_ptr<const Identity> identity_;
  bool ping_awaited_ = false;
  bool congested_ = false;
  List<MemberNode> streams_;

 private:
  static constexpr size_t kOutputMax = 192 * 1024;
  static constexpr int kReceivesPerTurn = 4;
  /** A slice of a turn: thousands of tiny frames fit into one receive. */
  static constexpr Nanos kSlice = kMillisecond / 2;
  /** What a tunnel may hold while memory is spent: who holds less does not suffer from who holds more. */
  static constexpr size_t kShareBytes = 64 * 1024;
  static constexpr int kVectorsMax = 64;
  static const std::string kNobody;

  bool ReceiveOnce(bool* again);
  bool Decrypt();
  bool Deliver(size_t length);
  void PeerEnded(bool notified);
  /** One event, and the end of the streams. */
  void ReportDown(Reason reason, uint32_t detail, const std::string& message);
  void TlsFailed();
  bool SendOutput();
  void PumpRing();
  void Up();
  void Dispose();

  TunnelId id_;
  Nanos started_;
  OutputBuffer output_;
  std::unique_ptr<Records> records_;
  std::unique_ptr<H2Session> h2_;
  List<RingNode> ring_;
  size_t stream_count_ = 0;
  bool readable_ = false;
  bool hangup_ = false;
  bool blocked_ = false;
  bool fin_sent_ = false;
  bool up_reported_ = false;
  /** The connection's window, or that of all streams, has opened: asked once per turn, not once per frame. */
  bool windows_opened_ = false;

  TunnelStream* received_stream_ = nullptr;
  iovec received_[kVectorsMax];
  int received_count_ = 0;

  Nanos silent_since_ = 0;
  Nanos blocked_since_ = 0;
  Nanos ping_sent_ = 0;
  Nanos round_trip_ = kMillisecond;
  int seconds_congested_ = 0;
  Timer deadline_;
  Timer resume_;
};

}  // namespace culvert
