// A connection with an id, in one of its forms: Captured (undecided), Relay, OutboundStream, InboundStream. The
// form changes as decisions fall; the id, the byte counts and the start time stay.
#pragma once

#include <memory>

#include "connection_table.h"
#include "loop.h"
#include "pod.h"
#include "types.h"

namespace culvert {

/** What stays the same through all forms of a connection. */
struct Origin {
  ConnectionId id = 0;
  std::shared_ptr<Pod> pod;
  Nanos started = 0;
};

class Connection : public Mortal, public RegistryNode {
 public:
  Connection(Loop& loop, Origin origin);

  ConnectionId id() const { return origin_.id; }
  /** The pod that it was captured in, or that its tunnel ends in. */
  const std::shared_ptr<Pod>& pod() const { return origin_.pod; }
  /** The drain of a pod is over: ends if one of the sockets is of it. */
  virtual void PodEnded(const std::shared_ptr<Pod>& pod) {
    if (origin_.pod == pod) Terminate(Reason::kDrained, 0, EndedBy::kEngine);
  }

  /** Resets both ends and reports. Idempotent. */
  virtual void Terminate(Reason reason, uint32_t detail, EndedBy by) = 0;

  // Decisions; a form that does not wait for one ignores it.
  /** The next connections to the same destination may have this answer too. */
  virtual void Remember(std::shared_ptr<const ReusableRoute>) {}
  virtual void DecideTunnel(std::shared_ptr<const TunnelDecision>) {}
  virtual void DecidePlain(const Address&) {}
  virtual void DecideDeliver(std::shared_ptr<const DeliverDecision>) {}
  virtual void DecideDirect(const std::shared_ptr<Pod>& /* target */, const DeliverDecision&) {}
  /** `status`: the HTTP status for a peer, or the detail of `closed` for an application's connection. */
  virtual void DecideRefuse(Reason, int /* status */) {}

 protected:
  /** The one `closed` of this id; the object is freed at the end of the turn. `after_end`: see ClosedEvent. */
  void Finish(Reason reason, uint32_t detail, EndedBy by, bool after_end = false);
  /** The form ends, the connection goes on in another, which gets the origin. */
  Origin HandOver();
  void ReportConnected(TunnelId tunnel, bool is_new, const std::string& peer_identity, const Headers& headers);
  bool finished() const { return finished_; }
  ConnectionTable::Slot& slot() { return *slot_; }
  void CountSent(uint64_t bytes) {
    slot_->sent.store(slot_->sent.load(std::memory_order_relaxed) + bytes, std::memory_order_relaxed);
  }
  void CountReceived(uint64_t bytes) {
    slot_->received.store(slot_->received.load(std::memory_order_relaxed) + bytes, std::memory_order_relaxed);
  }

  Loop& loop_;

 private:
  Origin origin_;
  ConnectionTable::Slot* slot_;
  bool finished_ = false;
};

}  // namespace culvert
