#include "pending_bytes.h"

#include <algorithm>
#include <cstring>

namespace culvert {

struct PendingBytes::Chunk {
  static constexpr size_t kBytes = 16384 - 24;
  Chunk* next = nullptr;
  uint32_t begin = 0;
  uint32_t end = 0;
  uint8_t data[kBytes];
};

void PendingBytes::Append(const uint8_t* data, size_t length) {
  while (length > 0) {
    if (last_ == nullptr || last_->end == Chunk::kBytes) {
      auto* chunk = new Chunk;
      budget_.Add(sizeof(Chunk));
      (last_ == nullptr ? first_ : last_->next) = chunk;
      last_ = chunk;
    }
    size_t part = std::min(length, Chunk::kBytes - last_->end);
    memcpy(last_->data + last_->end, data, part);
    last_->end += part;
    size_ += part;
    data += part;
    length -= part;
  }
}

int PendingBytes::Peek(iovec* out, int max) const {
  int count = 0;
  for (Chunk* chunk = first_; chunk != nullptr && count < max; chunk = chunk->next) {
    out[count++] = {chunk->data + chunk->begin, chunk->end - chunk->begin};
  }
  return count;
}

void PendingBytes::Consume(size_t length) {
  size_ -= length;
  while (first_ != nullptr) {
    size_t part = std::min<size_t>(length, first_->end - first_->begin);
    first_->begin += part;
    length -= part;
    if (first_->begin < first_->end) return;
    Chunk* done = first_;
    first_ = done->next;
    if (first_ == nullptr) last_ = nullptr;
    delete done;
    budget_.Remove(sizeof(Chunk));
  }
}

void PendingBytes::Clear() { Consume(size_); }

}  // namespace culvert
