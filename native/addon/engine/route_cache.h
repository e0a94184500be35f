// Decisions about connections of one pod, kept by destination for the pod's next connection to it. Each is stamped with
// the epoch in which it was made and is of no use in any other. Touched by the thread that accepts for the pod.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <unordered_map>
#include <vector>

#include "list.h"
#include "types.h"

namespace culvert {

/** What may be done with a connection without asking again. */
struct ReusableRoute {
  struct Choice {
    /** Running sum of the weights: the choice is taken for draws below it. */
    uint32_t below = 0;
    std::shared_ptr<const TunnelDecision> tunnel;
  };

  Reuse reuse;
  /** Never empty; drawn by weight. */
  std::vector<Choice> choices;

  /** `random` is any number. */
  size_t Draw(uint32_t random) const;
};

/** Choices that all caches of an engine hold, so that one number bounds them. */
class RouteBudget {
 public:
  static constexpr int64_t kChoicesMax = 16384;

  bool Take(size_t choices);
  void Give(size_t choices) { held_.fetch_sub(static_cast<int64_t>(choices), std::memory_order_relaxed); }
  int64_t held() const { return held_.load(std::memory_order_relaxed); }

 private:
  std::atomic<int64_t> held_{0};
};

class RouteCache : public ListNode {
 public:
  ~RouteCache() { Clear(); }

  /** Null if nothing is known, or only from another epoch. */
  std::shared_ptr<const ReusableRoute> Find(const Address& destination, uint64_t epoch) const;
  /** False if a bound says no. */
  bool Remember(const Address& destination, std::shared_ptr<const ReusableRoute> route, RouteBudget& budget);
  void Clear();

 private:
  static constexpr size_t kRoutesMax = 1024;

  struct Hash {
    size_t operator()(const Address& address) const;
  };

  void Forget(const Address& destination);

  RouteBudget* budget_ = nullptr;
  std::unordered_map<Address, std::shared_ptr<const ReusableRoute>, Hash> routes_;
};

}  // namespace culvert
