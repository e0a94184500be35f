// Timers of one thread. Resolution 16 ms: every deadline here is a bound, none is a measurement.
#pragma once

#include <functional>

#include "clock.h"
#include "list.h"

namespace culvert {

class Timer : public ListNode {
 public:
  explicit Timer(std::function<void()> callback) : callback_(std::move(callback)) {}
  void Cancel() { Unlink(); }
  bool armed() const { return linked(); }

 private:
  friend class TimerWheel;
  std::function<void()> callback_;
  uint64_t tick_ = 0;
};

class TimerWheel {
 public:
  explicit TimerWheel(Nanos now) : tick_(now / kTick) {}

  /** Fires once after `ms`; arming again moves it. */
  void Arm(Timer& timer, int ms, Nanos now);
  /** Runs what is due. A callback may arm and cancel any timer. */
  void Advance(Nanos now);
  /** How long epoll may sleep, in ms; -1 if nothing is armed. */
  int SleepMs(Nanos now) const;

 private:
  static constexpr Nanos kTick = 16 * kMillisecond;
  static constexpr size_t kSlots = 1024;

  uint64_t tick_;
  mutable List<Timer> slots_[kSlots];
};

}  // namespace culvert
