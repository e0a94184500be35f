#include "netns.h"

#include <fcntl.h>
#include <sched.h>

#include <cerrno>
#include <cstdlib>

namespace culvert {

Fd OpenOwnNetns() { return Fd(open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC)); }

NetnsScope::NetnsScope(int netns, int own) : own_(own) {
  if (own < 0) {
    error_ = EBADF;
  } else if (setns(netns, CLONE_NEWNET) != 0) {
    error_ = errno;
  }
}

NetnsScope::~NetnsScope() {
  if (error_ == 0 && setns(own_, CLONE_NEWNET) != 0) abort();
}

}  // namespace culvert
