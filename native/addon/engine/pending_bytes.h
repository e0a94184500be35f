// Bytes that a socket refused, in chunks, oldest first. Empty costs nothing.
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>

#include "memory_budget.h"

namespace culvert {

class PendingBytes {
 public:
  explicit PendingBytes(MemoryBudget& budget) : budget_(budget) {}
  PendingBytes(const PendingBytes&) = delete;
  PendingBytes& operator=(const PendingBytes&) = delete;
  ~PendingBytes() { Clear(); }

  bool empty() const { return size_ == 0; }
  size_t size() const { return size_; }
  void Append(const uint8_t* data, size_t length);
  /** Fills up to `max` vectors with what is first; returns how many. */
  int Peek(iovec* out, int max) const;
  void Consume(size_t length);
  void Clear();

 private:
  struct Chunk;
  MemoryBudget& budget_;
  Chunk* first_ = nullptr;
  Chunk* last_ = nullptr;
  size_t size_ = 0;
};

}  // namespace culvert
