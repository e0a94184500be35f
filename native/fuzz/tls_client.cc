// Bytes and records of a server into our client side of TLS.
#include "tls_harness.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  culvert::ByteSource script(data, size);
  culvert::TlsHarness(script, false).Run();
  return 0;
}
