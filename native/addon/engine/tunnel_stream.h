// An application's socket and an HTTP/2 stream, and the bytes between them. Which end called is for OutboundStream
// and InboundStream; from 200 on both are this.
#pragma once

#include "connection.h"
#include "pending_bytes.h"
#include "tunnel.h"

namespace culvert {

class TunnelStream : public Connection, public Pollable, public RingNode, public MemberNode, public H2Stream {
 public:
  TunnelStream(Loop& loop, Origin origin, Direction direction);
  ~TunnelStream() override;

  // From epoll.
  void OnReady(uint32_t events) override;

  // From the tunnel.
  ssize_t ReadPayload(uint8_t* to, size_t capacity) override;
  /** Payload from the peer; valid during the call. */
  void Receive(const iovec* vectors, int count);
  void OnPeerEnded();
  /** END_STREAM is in the output. */
  void OnEndSent();
  void OnWindowOpen();
  void OnResponse(int, const Headers&) override {}
  bool answered() const override { return open_; }
  void OnStreamClosed(uint32_t code) override;
  virtual void OnTunnelLost(Reason reason, uint32_t detail);

  void Terminate(Reason reason, uint32_t detail, EndedBy by) override;

  int32_t stream_id() const { return stream_id_; }
  bool readable() const { return app_readable_; }
  size_t pending_bytes() const { return pending_.size(); }
  bool StalledFor(Nanos time) const { return !pending_.empty() && loop_.now() - progress_at_ >= time; }
  /** Which side the application on our socket is. */
  EndedBy app_side() const { return direction_ == Direction::kOutbound ? EndedBy::kInitiator : EndedBy::kTarget; }
  EndedBy peer_side() const { return direction_ == Direction::kOutbound ? EndedBy::kTarget : EndedBy::kInitiator; }

 protected:
  /** The application's socket reported something before bytes may flow. */
  virtual void OnEarlyReady(uint32_t events) = 0;
  virtual void OnPeerReset(uint32_t code);
  /** Called once when the stream is no longer the tunnel's. */
  virtual void OnLeft() {}
  void Opened();
  void LeaveTunnel();

  const Direction direction_;
  Fd fd_;
  Tunnel* tunnel_ = nullptr;
  int32_t stream_id_ = -1;
  bool open_ = false;
  bool app_readable_ = false;
  bool hangup_ = false;
  bool peer_ended_ = false;
  PendingBytes pending_;

 private:
  void WritePending();
  void Written(size_t length);
  void GrowWindow(size_t length);
  void AppFailed(int error);
  void ShutdownApp();
  void CheckDone();
  void Done();

  bool app_ended_ = false;
  bool shut_ = false;
  /** The peer reset the stream after its end: what it sent is still delivered, then the socket closes. */
  bool finishing_ = false;
  bool peer_ended_first_ = false;
  int32_t window_ = H2Session::kFirstWindow;
  uint32_t consumed_ = 0;
  Nanos window_since_ = 0;
  Nanos progress_at_ = 0;
};

// What an idle connection costs; engine.md section 3.
static_assert(sizeof(TunnelStream) <= 400, "an idle stream must stay small");

}  // namespace culvert
