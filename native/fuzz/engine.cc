// Two engines on one thread, on a kernel of our own: events in any order.
#include "engine.h"

#include "engine_harness.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  culvert::ByteSource script(data, size);
  culvert::EngineHarness(script).Run();
  return 0;
}
