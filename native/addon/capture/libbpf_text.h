// What libbpf has to say about a failure, kept for the error that TypeScript will make of it.
#pragma once

#include <string>

namespace culvert::capture {

// Sends libbpf's warnings to a buffer of the calling thread instead of stderr. Idempotent.
void CollectLibbpfText();
// The last few lines collected on this thread; empties the buffer.
std::string TakeLibbpfText();

}  // namespace culvert::capture
