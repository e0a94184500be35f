// Two sockets and the bytes between them: plain outbound, plaintext inbound to the application, and from one pod of
// this engine to the application of another.
#pragma once

#include "connection.h"
#include "pending_bytes.h"
#include "pipe_pool.h"
#include "sockets.h"

namespace culvert {

class Relay : public Connection, public Runnable {
 public:
  Relay(Loop& loop, Origin origin, Fd accepted, SourcePorts::Claim claim);
  ~Relay() override;

  void DialOut(const Address& to);
  /** `target` is the pod itself, or another one of this engine: its removal ends the connection then, too. */
  void DialApplication(const std::shared_ptr<Pod>& target, const DeliverDecision& decision);

  void PodEnded(const std::shared_ptr<Pod>& pod) override;
  void Run() override;
  void Terminate(Reason reason, uint32_t detail, EndedBy by) override;

 private:
  /** One of the two sockets. */
  struct Side : Pollable {
    Side(Relay& owner, MemoryBudget& budget) : relay(owner), pending(budget) {}
    void OnReady(uint32_t events) override;

    Relay& relay;
    Fd fd;
    /** What this socket refused to take: copied, or in a pipe. Never both. */
    PendingBytes pending;
    std::unique_ptr<Pipe> pipe;
    /** Of the pipe's bytes, those that the budget knows of. */
    size_t counted = 0;
    /** What comes for it comes in large portions: it goes through a pipe. */
    bool bulk = false;
    bool Holds() const { return !pending.empty() || (pipe != nullptr && pipe->held() > 0); }
    bool readable = false;
    bool hangup = false;
    bool error = false;
    /** All that it sends was read. */
    bool ended = false;
    /** All that the other sent was written, with its end. */
    bool shut = false;
  };
  /** Of one direction in one turn. */
  static constexpr size_t kTurnBytes = 256 * 1024;
  static constexpr size_t kReadBytes = 64 * 1024;
  /** A read while memory is exhausted: the application that does not take it shall not cost more. */
  static constexpr size_t kScarceReadBytes = 4096;
  /** A smaller portion is copied as cheaply as its pages are handed on. */
  static constexpr size_t kBulkBytes = 16 * 1024;

  void Started(int error);
  void Connected();
  /** False if the relay ended. */
  bool Flush(Side& side);
  bool Move(Side& from, Side& to);
  /** Read once and hand on: bytes, 0 at the end, or -errno of `from`. `error` is that of `to`. */
  ssize_t Copy(Side& from, Side& to, int* error);
  ssize_t Splice(Side& from, Side& to, int* error);
  void CountPiped(Side& side);
  void DropPipe(Side& side);
  /** False if the relay ended by it. */
  bool Failed(Side& side, int error);
  void CheckDone();
  Side& OtherOf(Side& side) { return &side == &initiator_ ? target_ : initiator_; }
  EndedBy NameOf(const Side& side) const { return &side == &initiator_ ? EndedBy::kInitiator : EndedBy::kTarget; }

  Side initiator_;
  Side target_;
  std::shared_ptr<Pod> target_pod_;
  /** The side that sent its end before the other. */
  const Side* ended_first_ = nullptr;
  /** Reset after its own end: the other still gets what it had sent. */
  const Side* gone_ = nullptr;
  int gone_error_ = 0;
  SourcePorts::Claim client_claim_;
  SourcePorts::Claim dial_claim_;
  Timer deadline_;
  bool open_ = false;
};

}  // namespace culvert
