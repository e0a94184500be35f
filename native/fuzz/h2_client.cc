// HTTP/2 frames of a server into our client session.
#include "h2_harness.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  culvert::ByteSource script(data, size);
  culvert::H2Harness(script, false).Run();
  return 0;
}
