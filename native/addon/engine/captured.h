// A connection that was captured and waits for a decision. Its socket is in no epoll: nobody reads it, so it moves
// to another thread as a plain descriptor and no stale event follows it.
#pragma once

#include "connection.h"

namespace culvert {

class Captured : public Connection {
 public:
  /** `trace`: see TunnelDecision; empty for plaintext. */
  Captured(Loop& loop, Origin origin, bool outbound, Fd fd, const Address& client, const Address& original,
           std::string trace);
  ~Captured() override;

  void Terminate(Reason reason, uint32_t detail, EndedBy by) override;
  void Remember(std::shared_ptr<const ReusableRoute> route) override;
  void DecideTunnel(std::shared_ptr<const TunnelDecision> decision) override;
  void DecidePlain(const Address& to) override;
  void DecideDeliver(std::shared_ptr<const DeliverDecision> decision) override;
  void DecideDirect(const std::shared_ptr<Pod>& target, const DeliverDecision& decision) override;
  void DecideRefuse(Reason reason, int status) override;

 private:
  void Decided();

  bool outbound_;
  Fd fd_;
  Address client_;
  Address original_;
  std::string trace_;
  /** Plaintext: no dial of ours may have the client's 4-tuple. */
  SourcePorts::Claim claim_;
  Timer deadline_;
};

}  // namespace culvert
