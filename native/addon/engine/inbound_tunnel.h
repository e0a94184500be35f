// A tunnel that a peer dialled, and the CONNECT requests in it.
#pragma once

#include "delivery_cache.h"
#include "tunnel.h"

namespace culvert {

class InboundTunnel : public Tunnel, public HandshakeNode {
 public:
  /** Takes over an accepted socket; what it counts for in SourceLimits and Loop::tunnel_count is given back. */
  static void Accept(Loop& loop, Fd fd, std::shared_ptr<Pod> pod, const Address& peer);

  InboundTunnel(Loop& loop, Fd fd, std::shared_ptr<Pod> pod, const Address& peer,
                std::shared_ptr<const Identity> identity);
  ~InboundTunnel() override;

  const Address& peer() const { return peer_; }
  const Address& local() const { return local_; }
  /** A request of so many announced bytes waits no more. */
  void Decided(size_t bytes);
  /** Later requests with the same authority may have this answer too. */
  void Remember(const std::shared_ptr<const DeliverDecision>& decision);
  /** A request was answered with something else than 200. */
  void Refused() { refusals_.Take(loop_.now()); }

  void EverySecond() override;
  void Evict() override;

  void Retire() override;
  void OnGoaway() override {}
  void OnRequest(int32_t stream, const std::string& authority, const Headers& headers, bool ended) override;
  void OnPingAck() override;

 protected:
  void OnHandshaken() override;
  void OnUp() override;
  void OnEmpty() override { idle_since_ = loop_.now(); }
  void OnDown(Reason, uint32_t) override;

 private:
  static constexpr int kUndecidedMax = 200;
  /** Header lists that wait with them: one is at most 64 KiB. */
  static constexpr size_t kUndecidedBytesMax = 128 * 1024;

  void AnnounceEnd();
  void SendFinalGoaway();
  /** Why a request cannot be taken now; kCount if it can. */
  Counter BoundOf(size_t bytes);

  Address local_;
  DeliveryCache deliveries_;
  int undecided_ = 0;
  size_t undecided_bytes_ = 0;
  /** Refusals cost as much as what is served: who is refused again and again is not asked about for a while. */
  RateLimit refusals_{1000, 100};
  bool in_handshake_ = true;
  bool retiring_ = false;
  /** The peer was told. */
  bool announced_ = false;
  bool goaway_due_ = false;
  bool evicted_ = false;
  Nanos idle_since_ = 0;
  Nanos up_since_ = 0;
  Timer goaway_;
};

}  // namespace culvert
