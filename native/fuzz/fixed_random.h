// OpenSSL's random numbers, the same in each run: an input that failed once fails again.
#pragma once

#include <cstdint>

namespace culvert {

/** From now on, in the whole process. */
void FixRandom(uint64_t seed);

}  // namespace culvert
