// Two sockets and the bytes between them: plain outbound, and plaintext inbound to the application.
#pragma once

#include "connection.h"
#include "pending_bytes.h"
#include "sockets.h"

namespace culvert {

class Relay : public Connection, public Runnable {
 public:
  Relay(Loop& loop, Origin origin, Fd accepted, SourcePorts::Claim claim);
  ~Relay() override;

  void DialOut(const Address& to);
  void DialApplication(const DeliverDecision& decision);

  void Run() override;
  void Terminate(Reason reason, uint32_t detail, EndedBy by) override;

 private:
  /** One of the two sockets. */
  struct Side : Pollable {
    Side(Relay& owner, MemoryBudget& budget) : relay(owner), pending(budget) {}
    void OnReady(uint32_t events) override;

    Relay& relay;
    Fd fd;
    /** What this socket refused to take. */
    PendingBytes pending;
    bool readable = false;
    bool hangup = false;
    bool ended = false;
    bool shut = false;
  };
  /** A side is not read while the other holds this much. */
  static constexpr size_t kPendingMax = 256 * 1024;
  static constexpr int kReadsPerTurn = 4;

  void Started(int error);
  void Connected();
  /** False if the relay ended. */
  bool Flush(Side& side);
  bool Move(Side& from, Side& to);
  void Failed(Side& side, int error);

  Side initiator_;
  Side target_;
  SourcePorts::Claim client_claim_;
  SourcePorts::Claim dial_claim_;
  Timer deadline_;
  bool open_ = false;
};

}  // namespace culvert
