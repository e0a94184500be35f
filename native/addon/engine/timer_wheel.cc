#include "timer_wheel.h"

namespace culvert {

void TimerWheel::Arm(Timer& timer, int ms, Nanos now) {
  timer.tick_ = (now + static_cast<Nanos>(ms < 0 ? 0 : ms) * kMillisecond) / kTick + 1;
  if (timer.tick_ <= tick_) timer.tick_ = tick_ + 1;
  slots_[timer.tick_ % kSlots].PushBack(&timer);
}

void TimerWheel::Advance(Nanos now) {
  uint64_t target = now / kTick;
  // After a long sleep one walk round the wheel sees every timer.
  if (target - tick_ > kSlots) tick_ = target - kSlots;
  while (tick_ < target) {
    ++tick_;
    List<Timer> due;
    List<Timer>& slot = slots_[tick_ % kSlots];
    for (Timer* timer = slot.front(); timer != nullptr;) {
      Timer* next = slot.next(timer);
      if (timer->tick_ <= target) due.PushBack(timer);
      timer = next;
    }
    while (Timer* timer = due.PopFront()) timer->callback_();
  }
}

int TimerWheel::SleepMs(Nanos now) const {
  for (size_t ahead = 1; ahead <= kSlots; ++ahead) {
    List<Timer>& slot = slots_[(tick_ + ahead) % kSlots];
    if (slot.empty()) continue;
    // A timer of a later round wakes us in vain at most once per 16 s.
    Nanos due = (tick_ + ahead) * kTick;
    return due <= now ? 0 : static_cast<int>((due - now) / kMillisecond) + 1;
  }
  return -1;
}

}  // namespace culvert
