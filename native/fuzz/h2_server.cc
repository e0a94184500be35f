// HTTP/2 frames of a client into our server session.
#include "h2_harness.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  culvert::ByteSource script(data, size);
  culvert::H2Harness(script, true).Run();
  return 0;
}
