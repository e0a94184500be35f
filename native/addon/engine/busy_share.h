// How much of its time a thread is at work, as others may read it. By the wall clock: a thread that is kept from running
// (a CPU limit, a crowded machine) is as busy to its connections as one that computes.
#pragma once

#include <atomic>

#include "clock.h"

namespace culvert {

class BusyShare {
 public:
  explicit BusyShare(Nanos now) : since_(now) {}

  /** The owner's: it was at work from `from` to `to`. */
  void Worked(Nanos from, Nanos to) {
    busy_ += to - from;
    if (to - since_ < kWindow) return;
    percent_.store(static_cast<int>(busy_ * 100 / (to - since_)), std::memory_order_relaxed);
    measured_.store(to, std::memory_order_relaxed);
    busy_ = 0;
    since_ = to;
  }

  /** 0 to 100, over a recent tenth of a second. */
  int Percent(Nanos now) const {
    // Who has not looked for so long has slept.
    if (now > measured_.load(std::memory_order_relaxed) + 5 * kWindow) return 0;
    return percent_.load(std::memory_order_relaxed);
  }

 private:
  static constexpr Nanos kWindow = 100 * kMillisecond;

  Nanos since_;
  Nanos busy_ = 0;
  std::atomic<int> percent_{0};
  std::atomic<Nanos> measured_{0};
};

}  // namespace culvert
