// All bytes that the engine holds for others: chunks that an application did not take yet and output that a peer
// did not take yet. Counted in one place, so that one number bounds it.
#pragma once

#include <atomic>
#include <cstdint>

namespace culvert {

class MemoryBudget {
 public:
  explicit MemoryBudget(int64_t limit) : limit_(limit) {}

  void Add(int64_t bytes) { held_.fetch_add(bytes, std::memory_order_relaxed); }
  void Remove(int64_t bytes) { held_.fetch_sub(bytes, std::memory_order_relaxed); }
  /** Credit beyond the first window that peers may use at any moment. */
  void Grant(int64_t bytes) { granted_.fetch_add(bytes, std::memory_order_relaxed); }

  int64_t held() const { return held_.load(std::memory_order_relaxed); }
  int64_t granted() const { return granted_.load(std::memory_order_relaxed); }
  bool exhausted() const { return held() >= limit_; }
  /** Twice the limit: nobody may add to it any more, not even who holds nothing. */
  bool overdrawn() const { return held() >= 2 * limit_; }
  /** Half used, with what was promised: no window grows any more. */
  bool MayGrow() const { return held() + granted_.load(std::memory_order_relaxed) < limit_ / 2; }
  /** Three quarters used: new streams keep the first window. */
  bool MayWiden() const { return held() + granted_.load(std::memory_order_relaxed) < limit_ / 4 * 3; }

 private:
  const int64_t limit_;
  std::atomic<int64_t> held_{0};
  std::atomic<int64_t> granted_{0};
};

}  // namespace culvert
