#include "event_queue.h"

namespace culvert {

bool EventQueue::Announce(EventRecord record) {
  std::unique_lock<std::mutex> lock(mutex_);
  if (records_.size() >= kRecordsMax || bytes_ >= kBytesMax) {
    full_.store(true, std::memory_order_relaxed);
    return false;
  }
  Put(record.Finish());
  bool wake = !wake_pending_;
  wake_pending_ = true;
  lock.unlock();
  if (wake) wake_();
  return true;
}

void EventQueue::Report(EventRecord record) {
  std::unique_lock<std::mutex> lock(mutex_);
  Put(record.Finish());
  bool wake = !wake_pending_;
  wake_pending_ = true;
  lock.unlock();
  if (wake) wake_();
}

void EventQueue::Put(std::vector<uint8_t> record) {
  bytes_ += record.size();
  records_.push_back(std::move(record));
  if (records_.size() >= kRecordsMax || bytes_ >= kBytesMax) full_.store(true, std::memory_order_relaxed);
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
