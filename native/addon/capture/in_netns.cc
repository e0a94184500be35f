#include "capture/in_netns.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstdint>
#include <system_error>
#include <thread>

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif

namespace culvert::capture {

static int OnThread(const std::function<int()>& work) {
  int result = -EAGAIN;
  try {
    std::thread([&] { result = work(); }).join();
  } catch (const std::system_error&) {
    return -EAGAIN;
  }
  return result;
}

int InNetns(int netns, const std::function<int()>& work) {
  return OnThread([&] {
    if (setns(netns, CLONE_NEWNET) != 0) return -errno;
    return work();
  });
}

int ScratchNetns() {
  return OnThread([] {
    if (unshare(CLONE_NEWNET) != 0) return -errno;
    int fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
  });
}

int NetnsCookie(int netns, unsigned long long* cookie) {
  return InNetns(netns, [&] {
    Fd probe(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    if (!probe) return -errno;
    uint64_t value = 0;
    socklen_t length = sizeof(value);
    if (getsockopt(probe.get(), SOL_SOCKET, SO_NETNS_COOKIE, &value, &length) != 0) return -errno;
    *cookie = value;
    return 0;
  });
}

}  // namespace culvert::capture
