// A tunnel that a peer dialled, and the CONNECT requests in it.
#pragma once

#include "tunnel.h"

namespace culvert {

class InboundTunnel : public Tunnel {
 public:
  /** Takes over an accepted socket; what it counts for in SourceLimits and Loop::tunnel_count is given back. */
  static void Accept(Loop& loop, Fd fd, std::shared_ptr<Pod> pod, const Address& peer);

  InboundTunnel(Loop& loop, Fd fd, std::shared_ptr<Pod> pod, const Address& peer,
                std::shared_ptr<const Identity> identity);
  ~InboundTunnel() override;

  const Address& peer() const { return peer_; }
  const Address& local() const { return local_; }
  void Decided() { --undecided_; }

  void Retire() override;
  void OnGoaway() override {}
  void OnRequest(int32_t stream, const std::string& authority, const Headers& headers, bool ended) override;
  void OnPingAck() override;

 protected:
  void OnHandshaken() override;
  void OnUp() override;
  void OnEmpty() override {}
  void OnDown(Reason, uint32_t) override;

 private:
  static constexpr int kUndecidedMax = 200;

  void AnnounceEnd();
  void SendFinalGoaway();

  Address local_;
  int undecided_ = 0;
  bool in_handshake_ = true;
  bool retiring_ = false;
  /** The peer was told. */
  bool announced_ = false;
  bool goaway_due_ = false;
  Nanos up_since_ = 0;
  Timer goaway_;
};

}  // namespace culvert
