#include "sockets.h"

#include <fcntl.h>
#include <netinet/tcp.h>

#include <cerrno>

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif

namespace culvert {

static bool SetInt(int fd, int level, int option, int value) {
  return setsockopt(fd, level, option, &value, sizeof value) == 0;
}

/** Keepalive as ztunnel has it, and no waiting for more bytes: latency is what a user sees. */
static void SetCommon(int fd) {
  SetInt(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  SetInt(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
  SetInt(fd, IPPROTO_TCP, TCP_KEEPIDLE, 180);
  SetInt(fd, IPPROTO_TCP, TCP_KEEPINTVL, 180);
  SetInt(fd, IPPROTO_TCP, TCP_KEEPCNT, 9);
}

void ExpectNoLoss(int fd) {
  // On lo there is no path to learn and nothing to be fair to: pacing, as BBR does it, would cost timers and half the
  // CPU. Reno is in every kernel, and without losses it only opens its window.
  setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "reno", 4);
}

static int Connect(int fd, const Address& to) {
  sockaddr_storage storage;
  socklen_t length = to.ToSockaddr(&storage);
  if (connect(fd, reinterpret_cast<sockaddr*>(&storage), length) == 0 || errno == EINPROGRESS) return 0;
  return errno;
}

static bool GetInt(int fd, int level, int option, int* value) {
  socklen_t length = sizeof *value;
  return getsockopt(fd, level, option, value, &length) == 0;
}

static bool IsInt(int fd, int level, int option, int wanted) {
  int value = 0;
  return GetInt(fd, level, option, &value) && value == wanted;
}

static uint64_t NetnsCookieOf(int fd) {
  uint64_t cookie = 0;
  socklen_t length = sizeof cookie;
  return getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &length) == 0 ? cookie : 0;
}

/** More than a namespace's net.core.somaxconn (4096 since Linux 5.4) has no effect. */
static constexpr int kBacklog = 4096;

int Listen(bool ipv6, uint32_t mark, Fd* out) {
  int family = ipv6 ? AF_INET6 : AF_INET;
  Fd fd(socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd) return errno;
  // Accepted sockets inherit the mark: otherwise their SYN-ACKs would be captured again.
  if (!SetInt(fd.get(), SOL_SOCKET, SO_MARK, static_cast<int>(mark))) return errno;
  // Accepted ones have the application's port for their own: without this an application that starts again could not
  // bind it while they are open. Nobody can join a port that is listened on all the same; SO_REUSEPORT would allow that.
  if (!SetInt(fd.get(), SOL_SOCKET, SO_REUSEADDR, 1)) return errno;
  // Without transparency no SYN-ACK leaves with an address that is not the namespace's own.
  if (!SetInt(fd.get(), IPPROTO_IP, IP_TRANSPARENT, 1) && !ipv6) return errno;
  if (ipv6) {
    if (!SetInt(fd.get(), IPPROTO_IPV6, IPV6_TRANSPARENT, 1)) return errno;
    if (!SetInt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, 0)) return errno;
  }
  SetCommon(fd.get());
  Address any;
  any.family = static_cast<uint8_t>(family);
  sockaddr_storage storage;
  socklen_t length = any.ToSockaddr(&storage);
  if (bind(fd.get(), reinterpret_cast<sockaddr*>(&storage), length) != 0) return errno;
  if (listen(fd.get(), kBacklog) != 0) return errno;
  *out = std::move(fd);
  return 0;
}

int InheritListener(int listener, bool ipv6, uint32_t mark, Fd* out) {
  int family = ipv6 ? AF_INET6 : AF_INET;
  Fd here(socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  Fd fd(fcntl(listener, F_DUPFD_CLOEXEC, 0));
  if (!here || !fd) return errno;
  uint64_t cookie = NetnsCookieOf(here.get());
  bool fits = cookie != 0 && NetnsCookieOf(fd.get()) == cookie && IsInt(fd.get(), SOL_SOCKET, SO_DOMAIN, family) &&
              IsInt(fd.get(), SOL_SOCKET, SO_PROTOCOL, IPPROTO_TCP) && IsInt(fd.get(), SOL_SOCKET, SO_ACCEPTCONN, 1) &&
              IsInt(fd.get(), SOL_SOCKET, SO_MARK, static_cast<int>(mark)) &&
              IsInt(fd.get(), SOL_SOCKET, SO_REUSEPORT, 0) &&
              (ipv6 ? IsInt(fd.get(), IPPROTO_IPV6, IPV6_TRANSPARENT, 1) && IsInt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, 0)
                    : IsInt(fd.get(), IPPROTO_IP, IP_TRANSPARENT, 1));
  if (!fits) return EINVAL;
  // The flag belongs to the open socket, whoever holds it: accepting must never wait.
  if (fcntl(fd.get(), F_SETFL, fcntl(fd.get(), F_GETFL) | O_NONBLOCK) != 0) return errno;
  *out = std::move(fd);
  return 0;
}

int DialPeer(const Address& to, uint32_t mark, bool tunnel, Fd* out) {
  Fd fd(socket(to.family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd) return errno;
  if (!SetInt(fd.get(), SOL_SOCKET, SO_MARK, static_cast<int>(mark))) return errno;
  SetCommon(fd.get());
  if (tunnel) SetInt(fd.get(), IPPROTO_TCP, TCP_USER_TIMEOUT, kUserTimeoutMs);
  int error = Connect(fd.get(), to);
  if (error == 0) *out = std::move(fd);
  return error;
}

static int DialAs(const Address& to, const Address& source, Fd* out) {
  Fd fd(socket(to.family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd) return errno;
  SetCommon(fd.get());
  // Over lo whatever the routes say: a delivery never leaves the pod.
  if (setsockopt(fd.get(), SOL_SOCKET, SO_BINDTODEVICE, "lo", 3) != 0) return errno;
  ExpectNoLoss(fd.get());
  if (source) {
    bool v4 = to.family == AF_INET;
    if (!SetInt(fd.get(), v4 ? IPPROTO_IP : IPPROTO_IPV6, v4 ? IP_TRANSPARENT : IPV6_TRANSPARENT, 1)) return errno;
    // One source port serves many destinations.
    SetInt(fd.get(), SOL_SOCKET, SO_REUSEADDR, 1);
    sockaddr_storage storage;
    socklen_t length = source.ToSockaddr(&storage);
    if (bind(fd.get(), reinterpret_cast<sockaddr*>(&storage), length) != 0) return errno;
  }
  int error = Connect(fd.get(), to);
  if (error == 0) *out = std::move(fd);
  return error;
}

int DialApplication(const Address& to, const Address& source, SourcePorts& ports, Fd* out, SourcePorts::Claim* claim) {
  if (!source || source.family != to.family) return DialAs(to, {}, out);
  int error = EADDRNOTAVAIL;
  // A port may be a listener's, or in TIME_WAIT towards this very target: the next one will do.
  for (int attempt = 0; attempt < 64; ++attempt) {
    SourcePorts::Claim candidate = ports.Choose(source, to);
    if (!candidate) return EADDRNOTAVAIL;
    Address from = source;
    from.port = candidate.port();
    error = DialAs(to, from, out);
    if (error == 0) {
      *claim = std::move(candidate);
      return 0;
    }
    if (error != EADDRINUSE && error != EADDRNOTAVAIL) return error;
  }
  return error;
}

void ResetOnClose(int fd) {
  linger value = {1, 0};
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &value, sizeof value);
}

int TakeSocketError(int fd) {
  int error = 0;
  socklen_t length = sizeof error;
  if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) != 0) return errno;
  return error;
}

}  // namespace culvert
