#include "connection_table.h"

namespace culvert {

ConnectionId ConnectionTable::Allocate(int owner) {
  std::lock_guard<std::mutex> lock(mutex_);
  uint32_t index;
  if (!free_.empty()) {
    index = free_.back();
    free_.pop_back();
  } else {
    if (used_ == kBlocksMax * kBlockSlots) return 0;
    index = used_++;
    if (index % kBlockSlots == 0) {
      owned_.push_back(std::make_unique<Slot[]>(kBlockSlots));
      blocks_[index / kBlockSlots].store(owned_.back().get(), std::memory_order_release);
    }
  }
  Slot& slot = blocks_[index / kBlockSlots].load(std::memory_order_relaxed)[index % kBlockSlots];
  slot.owner.store(owner, std::memory_order_relaxed);
  slot.sent.store(0, std::memory_order_relaxed);
  slot.received.store(0, std::memory_order_relaxed);
  slot.connection = nullptr;
  slot.used = true;
  size_.fetch_add(1, std::memory_order_relaxed);
  uint64_t generation = slot.generation.load(std::memory_order_relaxed);
  return generation << kSlotBits | index;
}

void ConnectionTable::Release(ConnectionId id) {
  std::lock_guard<std::mutex> lock(mutex_);
  Slot* slot = Find(id);
  if (slot == nullptr) return;
  slot->connection = nullptr;
  slot->used = false;
  uint32_t next = slot->generation.load(std::memory_order_relaxed) + 1;
  slot->generation.store(next == 0 ? 1 : next, std::memory_order_release);
  free_.push_back(static_cast<uint32_t>(id & ((1 << kSlotBits) - 1)));
  size_.fetch_sub(1, std::memory_order_relaxed);
}

std::vector<ConnectionId> ConnectionTable::Live() {
  std::lock_guard<std::mutex> lock(mutex_);
  std::vector<ConnectionId> out;
  for (uint64_t index = 0; index < used_; ++index) {
    const Slot& slot = blocks_[index / kBlockSlots].load()[index % kBlockSlots];
    if (slot.used) out.push_back(static_cast<uint64_t>(slot.generation.load()) << kSlotBits | index);
  }
  return out;
}

ConnectionTable::Slot* ConnectionTable::Find(ConnectionId id) {
  uint64_t index = id & ((1 << kSlotBits) - 1);
  Slot* block = blocks_[index / kBlockSlots].load(std::memory_order_acquire);
  if (block == nullptr) return nullptr;
  Slot& slot = block[index % kBlockSlots];
  return slot.generation.load(std::memory_order_acquire) == id >> kSlotBits ? &slot : nullptr;
}

}  // namespace culvert
