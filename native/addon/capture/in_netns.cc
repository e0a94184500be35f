#include "capture/in_netns.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <memory>
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

// `TCP: inuse 5 orphan 0 tw 0 alloc 7 mem 1`, `TCP6: inuse 3`; proc(5). -ENOENT if there is no such line.
static int64_t InUse(const char* path, const char* format) {
  std::unique_ptr<FILE, int (*)(FILE*)> file(fopen(path, "re"), fclose);
  if (!file) return -errno;
  char line[256];
  while (fgets(line, sizeof(line), file.get()) != nullptr) {
    long long sockets = 0;
    if (sscanf(line, format, &sockets) == 1) return sockets;
  }
  return -ENOENT;
}

int64_t CountTcpSockets(int netns) {
  int64_t sockets = 0;
  int error = InNetns(netns, [&] {
    int64_t ipv4 = InUse("/proc/thread-self/net/sockstat", "TCP: inuse %lld");
    if (ipv4 < 0) return static_cast<int>(ipv4);
    int64_t ipv6 = InUse("/proc/thread-self/net/sockstat6", "TCP6: inuse %lld");
    // A kernel without IPv6 has no such file.
    if (ipv6 < 0 && ipv6 != -ENOENT) return static_cast<int>(ipv6);
    sockets = ipv4 + (ipv6 < 0 ? 0 : ipv6);
    return 0;
  });
  return error == 0 ? sockets : error;
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
