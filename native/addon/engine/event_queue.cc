#include "event_queue.h"

namespace culvert {

bool EventQueue::Announce(EventRecord record, bool soon) {
  std::unique_lock<std::mutex> lock(mutex_);
  if (records_.size() >= kRecordsMax || bytes_ >= kBytesMax) {
    full_.store(true, std::memory_order_relaxed);
    return false;
  }
  bool wake = Put(record.Finish(), soon);
  lock.unlock();
  if (wake) wake_();
  return true;
}

void EventQueue::Report(EventRecord record, bool soon) {
  std::unique_lock<std::mutex> lock(mutex_);
  bool wake = Put(record.Finish(), soon);
  lock.unlock();
  if (wake) wake_();
}

void EventQueue::Wake() {
  std::unique_lock<std::mutex> lock(mutex_);
  if (records_.empty() || wake_pending_) return;
  wake_pending_ = true;
  lock.unlock();
  wake_();
}

bool EventQueue::Put(std::vector<uint8_t> record, bool soon) {
  bytes_ += record.size();
  records_.push_back(std::move(record));
  if (records_.size() >= kRecordsMax || bytes_ >= kBytesMax) full_.store(true, std::memory_order_relaxed);
  if (wake_pending_ || (soon && records_.size() < kGather)) return false;
  wake_pending_ = true;
  return true;
}

bool EventQueue::Take(size_t max, std::vector<uint8_t>* out) {
  std::lock_guard<std::mutex> lock(mutex_);
  for (size_t i = 0; i < max && !records_.empty(); ++i) {
    const std::vector<uint8_t>& record = records_.front();
    out->insert(out->end(), record.begin(), record.end());
    bytes_ -= record.size();
    records_.pop_front();
  }
  if (records_.size() < kRecordsMax / 2 && bytes_ < kBytesMax / 2) full_.store(false, std::memory_order_relaxed);
  wake_pending_ = !records_.empty();
  return wake_pending_;
}

}  // namespace culvert
