#include "output_buffer.h"

#include <cstdlib>
#include <cstring>

#include "exhaustion.h"

namespace culvert {

OutputPool::~OutputPool() {
  for (uint8_t* block : blocks_) free(block);
}

uint8_t* OutputPool::Take() {
  if (blocks_.empty()) {
    auto* block = static_cast<uint8_t*>(malloc(kBlockBytes));
    if (block == nullptr) OutOfMemory();
    return block;
  }
  uint8_t* block = blocks_.back();
  blocks_.pop_back();
  return block;
}

void OutputPool::Give(uint8_t* block, size_t capacity) {
  if (capacity == kBlockBytes && blocks_.size() < kBlocksMax) {
    blocks_.push_back(block);
  } else {
    free(block);
  }
}

OutputBuffer::~OutputBuffer() { Consume(size()); }

bool OutputBuffer::Append(const uint8_t* data, size_t length) {
  if (size() + length > kBytesMax) return false;
  if (block_ == nullptr) {
    block_ = pool_.Take();
    capacity_ = OutputPool::kBlockBytes;
    budget_.Add(capacity_);
  }
  if (end_ + length > capacity_ && begin_ > 0) {
    memmove(block_, block_ + begin_, size());
    end_ -= begin_;
    begin_ = 0;
  }
  if (end_ + length > capacity_) {
    size_t wanted = capacity_ * 2 > end_ + length ? capacity_ * 2 : end_ + length;
    auto* larger = static_cast<uint8_t*>(realloc(block_, wanted));
    if (larger == nullptr) return false;
    budget_.Add(wanted - capacity_);
    block_ = larger;
    capacity_ = wanted;
  }
  memcpy(block_ + end_, data, length);
  end_ += length;
  return true;
}

void OutputBuffer::Shrink() {
  if (block_ == nullptr || size() > capacity_ / 2) return;
  size_t needed = size();
  auto* smaller = static_cast<uint8_t*>(malloc(needed));
  if (smaller == nullptr) return;
  memcpy(smaller, data(), needed);
  pool_.Give(block_, capacity_);
  budget_.Remove(static_cast<int64_t>(capacity_ - needed));
  block_ = smaller;
  begin_ = 0;
  end_ = capacity_ = needed;
}

void OutputBuffer::Consume(size_t length) {
  begin_ += length;
  if (begin_ < end_) return;
  begin_ = end_ = 0;
  if (block_ == nullptr) return;
  budget_.Remove(capacity_);
  pool_.Give(block_, capacity_);
  block_ = nullptr;
  capacity_ = 0;
}

}  // namespace culvert
