// What a tunnel has encrypted and not sent yet: one block, taken from the thread's pool while there is output.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "memory_budget.h"

namespace culvert {

/** Blocks kept by a thread, so that a busy tunnel does not go to the allocator each turn. */
class OutputPool {
 public:
  /** A lone stream's batch of 256 KiB on top of 64 KiB that wait, with the records' overhead and control frames. */
  static constexpr size_t kBlockBytes = 384 * 1024;

  ~OutputPool();
  uint8_t* Take();
  void Give(uint8_t* block, size_t capacity);

 private:
  static constexpr size_t kBlocksMax = 8;
  std::vector<uint8_t*> blocks_;
};

class OutputBuffer {
 public:
  OutputBuffer(OutputPool& pool, MemoryBudget& budget) : pool_(pool), budget_(budget) {}
  OutputBuffer(const OutputBuffer&) = delete;
  OutputBuffer& operator=(const OutputBuffer&) = delete;
  ~OutputBuffer();

  size_t size() const { return end_ - begin_; }
  const uint8_t* data() const { return block_ + begin_; }
  /** False if the peer lets more pile up than a tunnel may hold. */
  bool Append(const uint8_t* data, size_t length);
  void Consume(size_t length);
  /** Gives back what the bytes that are left do not need; for a peer that does not take them. */
  void Shrink();
  size_t held() const { return capacity_; }

 private:
  static constexpr size_t kBytesMax = 4 << 20;

  OutputPool& pool_;
  MemoryBudget& budget_;
  uint8_t* block_ = nullptr;
  size_t capacity_ = 0;
  size_t begin_ = 0;
  size_t end_ = 0;
};

}  // namespace culvert
