#include "exhaustion.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <mutex>
#include <new>

namespace culvert {

bool IsExhausted(int error) {
  return error == EMFILE || error == ENFILE || error == ENOMEM || error == ENOBUFS || error == ENOSPC;
}

void Descriptors::Refresh() {
  rlimit limit = {};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  auto numbers = static_cast<int>(std::min<rlim_t>(limit.rlim_cur, INT_MAX));
  // Where there are few, connections must not be left without any.
  end_.store(numbers - std::min(reserve_, numbers / 4), std::memory_order_relaxed);
}

void OutOfMemory() {
  static const char kLastLine[] = "culvert: an engine thread is out of memory: the process ends\n";
  ssize_t ignored = write(STDERR_FILENO, kLastLine, sizeof kLastLine - 1);
  static_cast<void>(ignored);
  abort();
}

static thread_local bool ends_without_memory = false;

void EndWithoutMemory() {
  static std::once_flag once;
  std::call_once(once, [] {
    std::set_new_handler([] {
      // Node's own threads may have something to give back, or an answer of their own.
      if (!ends_without_memory) throw std::bad_alloc();
      OutOfMemory();
    });
  });
  ends_without_memory = true;
}

}  // namespace culvert
