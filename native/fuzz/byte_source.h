// Reads a fuzz input as a script: choices, numbers and bytes until it is used up, then zeros.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

namespace culvert {

class ByteSource {
 public:
  ByteSource(const uint8_t* data, size_t size) : at_(data), left_(size) {}

  bool done() const { return left_ == 0; }
  uint8_t Byte() {
    if (left_ == 0) return 0;
    --left_;
    return *at_++;
  }
  bool Flag() { return (Byte() & 1) != 0; }
  uint16_t Word() {
    uint16_t high = Byte();
    return static_cast<uint16_t>(high << 8 | Byte());
  }
  uint32_t Long() {
    uint32_t high = Word();
    return high << 16 | Word();
  }
  /** Less than `bound`, 0 if there is nothing to choose from. */
  size_t Below(size_t bound) {
    if (bound <= 1) return 0;
    return (bound <= 256 ? Byte() : Word()) % bound;
  }
  /** Sizes at and beside the limits that code has are likelier than others. */
  size_t Size(size_t max) {
    static constexpr size_t kUsual[] = {0, 1, 9, 64, 255, 1024, 4096, 16383, 16384, 16385, 65535, 65536, 262144};
    uint8_t choice = Byte();
    size_t size = choice < 128 ? choice : choice < 192 ? Word() : kUsual[choice % std::size(kUsual)];
    return std::min(size, max);
  }
  std::string Bytes(size_t max) {
    size_t length = std::min(max, left_);
    std::string out(reinterpret_cast<const char*>(at_), length);
    at_ += length;
    left_ -= length;
    return out;
  }
  std::string Rest() { return Bytes(left_); }

 private:
  const uint8_t* at_;
  size_t left_;
};

/** What must hold whatever the input: if it does not, the input is kept. */
inline void Expect(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "EXPECTED: %s\n", what);
  std::abort();
}

}  // namespace culvert
