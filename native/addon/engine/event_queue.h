// Events on their way to TypeScript. New connections are refused when it is full; what happens to known ones
// (connected, closed) is always taken: it is bounded by the number of connections, and must not get lost.
#pragma once

#include <atomic>
#include <deque>
#include <functional>
#include <mutex>
#include <vector>

#include "event_record.h"

namespace culvert {

class EventQueue {
 public:
  /** `wake` is called from any thread when there is something to take and no wake is pending. */
  explicit EventQueue(std::function<void()> wake) : wake_(std::move(wake)) {}

  /**
   * An event that announces something new. False, and nothing is queued, when the queue is full. With `soon` it wakes
   * nobody by itself, unless many have gathered: the caller sees to it that Wake() is called before long.
   */
  bool Announce(EventRecord record, bool soon = false);
  /** An event about something that TypeScript already knows. */
  void Report(EventRecord record, bool soon = false);
  /** Wakes if something waits and no wake is pending. */
  void Wake();
  /** True while new connections should wait in the kernel's backlog. */
  bool full() const { return full_.load(std::memory_order_relaxed); }
  /** Appends up to `max` records to `out`. True if more are left; else the next event wakes again. */
  bool Take(size_t max, std::vector<uint8_t>* out);

 private:
  static constexpr size_t kRecordsMax = 8192;
  static constexpr size_t kBytesMax = 8 << 20;
  /** So many wake by themselves: a batch as large as TypeScript takes at once without others waiting long. */
  static constexpr size_t kGather = 256;

  /** True if the caller has to wake. */
  bool Put(std::vector<uint8_t> record, bool soon);

  std::function<void()> wake_;
  std::mutex mutex_;
  std::deque<std::vector<uint8_t>> records_;
  size_t bytes_ = 0;
  bool wake_pending_ = false;
  std::atomic<bool> full_{false};
};

}  // namespace culvert
