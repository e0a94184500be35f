// Every connection of the engine by id, whichever thread it lives on. An id is a slot and a generation: it is
// never used twice, so a late command can be recognised and dropped. Byte counts live here, so that reading them
// needs no message to the owner.
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <mutex>
#include <vector>

#include "types.h"

namespace culvert {

class Connection;

class ConnectionTable {
 public:
  struct Slot {
    std::atomic<uint32_t> generation{1};
    bool used = false;
    /** Index of the thread that owns the connection. */
    std::atomic<int> owner{0};
    /** Touched by the owner only; null while the connection moves between threads. */
    Connection* connection = nullptr;
    /** Payload bytes, initiator to target and back. */
    std::atomic<uint64_t> sent{0};
    std::atomic<uint64_t> received{0};
  };

  /** Id 0 if the table is full. */
  ConnectionId Allocate(int owner);
  /** Retires the id; its slot gets another generation. */
  void Release(ConnectionId id);
  /** Null if the id is no longer valid. */
  Slot* Find(ConnectionId id);
  /** Ids that are in use. Only when no thread runs. */
  std::vector<ConnectionId> Live();
  int64_t size() const { return size_.load(std::memory_order_relaxed); }

 private:
  static constexpr uint64_t kSlotBits = 20;
  static constexpr size_t kBlockSlots = 1024;
  static constexpr size_t kBlocksMax = (1 << kSlotBits) / kBlockSlots;

  std::mutex mutex_;
  std::vector<uint32_t> free_;
  uint32_t used_ = 0;
  std::atomic<int64_t> size_{0};
  std::array<std::atomic<Slot*>, kBlocksMax> blocks_{};
  std::vector<std::unique_ptr<Slot[]>> owned_;
};

}  // namespace culvert
