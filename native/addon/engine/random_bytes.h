// Random bytes for one thread, fetched from the kernel for many connections at a time: for draws by weight and for
// ids in traces, not for keys.
#pragma once

#include <sys/random.h>

#include <array>
#include <cstdint>
#include <cstring>
#include <string>

namespace culvert {

class RandomBytes {
 public:
  uint32_t Number() {
    uint32_t number;
    memcpy(&number, Take(sizeof number), sizeof number);
    return number;
  }
  /** `count` bytes as lower-case hexadecimal digits. At most 64. */
  std::string Hex(size_t count) {
    static const char digits[] = "0123456789abcdef";
    const uint8_t* bytes = Take(count);
    std::string out(count * 2, '0');
    for (size_t i = 0; i < count; ++i) {
      out[2 * i] = digits[bytes[i] >> 4];
      out[2 * i + 1] = digits[bytes[i] & 15];
    }
    return out;
  }

 private:
  const uint8_t* Take(size_t count) {
    if (at_ + count > pool_.size()) {
      // Up to 256 bytes come whole and without an interruption, see getrandom(2).
      for (size_t i = 0; i < pool_.size(); i += 256) (void)!getrandom(pool_.data() + i, 256, 0);
      at_ = 0;
    }
    at_ += count;
    return pool_.data() + at_ - count;
  }

  std::array<uint8_t, 2048> pool_;
  size_t at_ = 2048;
};

}  // namespace culvert
