// Monotonic time. One place, so that every deadline is measured with the same clock.
#pragma once

#include <ctime>
#include <cstdint>

namespace culvert {

using Nanos = uint64_t;

constexpr Nanos kMillisecond = 1000 * 1000;
constexpr Nanos kSecond = 1000 * kMillisecond;

inline Nanos Now() {
  timespec at;
  clock_gettime(CLOCK_MONOTONIC, &at);
  return static_cast<Nanos>(at.tv_sec) * kSecond + static_cast<Nanos>(at.tv_nsec);
}

}  // namespace culvert
