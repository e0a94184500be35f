#include "capture/libbpf_text.h"

#include <bpf/libbpf.h>

#include <cstdarg>
#include <cstdio>

namespace culvert::capture {

// A verifier log can be megabytes; its end says what was wrong.
constexpr size_t kTextBytesMax = 2048;

static thread_local std::string collected;

static int Collect(libbpf_print_level level, const char* format, va_list arguments) {
  if (level != LIBBPF_WARN) return 0;
  char line[1024];
  int length = vsnprintf(line, sizeof(line), format, arguments);
  if (length <= 0) return 0;
  collected.append(line);
  if (collected.size() > kTextBytesMax) collected.erase(0, collected.size() - kTextBytesMax);
  return length;
}

void CollectLibbpfText() { libbpf_set_print(Collect); }

std::string TakeLibbpfText() {
  std::string text;
  text.swap(collected);
  return text;
}

}  // namespace culvert::capture
