// Bytes and records of a client into our server side of TLS.
#include "tls_harness.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  culvert::ByteSource script(data, size);
  culvert::TlsHarness(script, true).Run();
  return 0;
}
