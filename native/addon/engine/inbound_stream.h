// A CONNECT request of a peer: Undecided -> Dialling -> Open.
#pragma once

#include "sockets.h"
#include "tunnel_stream.h"

namespace culvert {

class InboundTunnel;

class InboundStream : public TunnelStream {
 public:
  InboundStream(Loop& loop, Origin origin, InboundTunnel& tunnel, int32_t stream, size_t announced);
  ~InboundStream() override;

  void DecideDeliver(std::shared_ptr<const DeliverDecision> decision) override;
  void DecideRefuse(Reason reason, int http_status) override;
  void Terminate(Reason reason, uint32_t detail, EndedBy by) override;

 protected:
  void OnEarlyReady(uint32_t events) override;
  void OnLeft() override;

 private:
  void Decided();
  /** A status instead of a tunnel. */
  void Answer(int status, Reason reason, uint32_t detail, EndedBy by);

  InboundTunnel& inbound_;
  /** Until the application has answered. */
  std::shared_ptr<const DeliverDecision> decision_;
  SourcePorts::Claim claim_;
  Timer deadline_;
  /** Bytes of the request that TypeScript was told. */
  const size_t announced_;
  bool undecided_ = true;
};

}  // namespace culvert
