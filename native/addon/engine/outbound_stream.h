// An application's connection to the outside that goes through a tunnel: WaitingTunnel -> Requested -> Open.
#pragma once

#include "pool.h"
#include "tunnel_stream.h"

namespace culvert {

class OutboundTunnel;

class OutboundStream : public TunnelStream {
 public:
  /** What moves from thread to thread until a tunnel is found. */
  struct Routed {
    Origin origin;
    Fd fd;
    std::shared_ptr<const TunnelDecision> decision;
    Address client;
    std::string trace;
    int attempts = 0;
  };

  /** Finds a tunnel and puts the connection on its thread. */
  static void Route(Loop& from, Routed routed);

  OutboundStream(Loop& loop, Routed routed);
  ~OutboundStream() override;

  /** The tunnel is up: send the CONNECT. */
  void Request(OutboundTunnel& tunnel);
  /** Nothing was delivered yet: find another tunnel, a bounded number of times. */
  void Retry();
  /** The CONNECT has left, or is about to be answered. */
  bool Sent() const;

  void OnResponse(int status, const Headers& headers) override;
  void OnTunnelLost(Reason reason, uint32_t detail) override;
  void Terminate(Reason reason, uint32_t detail, EndedBy by) override;

 protected:
  void OnEarlyReady(uint32_t events) override;
  void OnPeerReset(uint32_t code) override;
  void OnLeft() override;

 private:
  /** Tunnels that may turn a connection away before it is given up. Each lives at least a round trip. */
  static constexpr int kAttemptsMax = 6;

  static void Adopt(Loop& loop, Routed routed, std::shared_ptr<TunnelShare> share);
  Headers RequestHeaders() const;
  void GiveBack();

  /** Until the answer has come. */
  std::shared_ptr<const TunnelDecision> decision_;
  Address client_;
  std::string trace_;
  int attempts_;
  std::shared_ptr<TunnelShare> share_;
  Timer deadline_;
  bool is_new_ = false;
};

}  // namespace culvert
