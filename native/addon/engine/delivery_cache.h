// Decisions about requests of one tunnel, kept by authority for the next request with the same: peer, identity and
// address are the tunnel's. Each is of use only in the epoch in which it was made.
#pragma once

#include <array>
#include <memory>
#include <string>

#include "types.h"

namespace culvert {

class DeliveryCache {
 public:
  /** Null if nothing is known, or only from another epoch. */
  std::shared_ptr<const DeliverDecision> Find(const std::string& authority, uint64_t epoch) const {
    for (const Entry& entry : entries_) {
      if (entry.decision != nullptr && entry.decision->reuse.epoch == epoch && entry.authority == authority) {
        return entry.decision;
      }
    }
    return nullptr;
  }

  /** Takes the place of the same authority's, or of the oldest. */
  void Remember(const std::string& authority, std::shared_ptr<const DeliverDecision> decision) {
    if (authority.size() > kAuthorityMax) return;
    for (Entry& entry : entries_) {
      if (entry.decision != nullptr && entry.authority == authority) {
        entry.decision = std::move(decision);
        return;
      }
    }
    entries_[next_] = {authority, std::move(decision)};
    next_ = (next_ + 1) % entries_.size();
  }

 private:
  static constexpr size_t kAuthorityMax = 256;

  struct Entry {
    std::string authority;
    std::shared_ptr<const DeliverDecision> decision;
  };
  std::array<Entry, 4> entries_;
  size_t next_ = 0;
};

}  // namespace culvert
