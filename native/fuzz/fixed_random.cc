#define OPENSSL_SUPPRESS_DEPRECATED
#include "fixed_random.h"

#include <openssl/rand.h>

namespace culvert {

static uint64_t state;

static int Fill(unsigned char* out, int length) {
  for (int i = 0; i < length; ++i) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    out[i] = static_cast<unsigned char>(state >> 32);
  }
  return 1;
}

static int Ready() { return 1; }

void FixRandom(uint64_t seed) {
  state = seed * 0x9e3779b97f4a7c15u | 1;
  static const RAND_METHOD kFixed = {nullptr, Fill, nullptr, nullptr, Fill, Ready};
  RAND_set_rand_method(&kFixed);
}

}  // namespace culvert
