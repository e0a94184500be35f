// What the linker calls instead of the C library: FakeKernel for its own descriptors and while there is one, else the
// system. It also gets the calls of libFuzzer itself, which must go on to the system.
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <cerrno>
#include <cstdarg>
#include <cstring>
#include <utility>
#include <ctime>

#include "fake_kernel.h"

using culvert::Address;
using culvert::Call;
using culvert::FakeKernel;
using culvert::File;

static FakeKernel* Kernel() { return FakeKernel::current(); }

static Address ToAddress(const sockaddr* address, socklen_t length) {
  sockaddr_storage storage = {};
  memcpy(&storage, address, length);
  return Address::FromSockaddr(storage);
}

static int FromAddress(const Address& address, sockaddr* out, socklen_t* length) {
  sockaddr_storage storage;
  socklen_t whole = address.ToSockaddr(&storage);
  memcpy(out, &storage, std::min(*length, whole));
  *length = whole;
  return 0;
}

extern "C" {

int __real_socket(int domain, int type, int protocol);
int __real_close(int fd);
int __real_open(const char* path, int flags, ...);
int __real_getrlimit(__rlimit_resource_t resource, rlimit* out);
ssize_t __real_getrandom(void* out, size_t length, unsigned flags);
int __real_clock_gettime(clockid_t clock, timespec* out);
time_t __real_time(time_t* out);

int __wrap_socket(int domain, int type, int protocol) {
  if (Kernel() == nullptr) return __real_socket(domain, type, protocol);
  return Kernel()->Failing(Call::kSocket) ? -1 : Kernel()->Open(File::Kind::kSocket);
}

int __wrap_close(int fd) { return FakeKernel::Owns(fd) ? Kernel()->Close(fd) : __real_close(fd); }

int __wrap_open(const char* path, int flags, ...) {
  if (Kernel() != nullptr && strstr(path, "/ns/net") != nullptr) return Kernel()->Open(File::Kind::kNetns);
  va_list arguments;
  va_start(arguments, flags);
  int mode = va_arg(arguments, int);
  va_end(arguments);
  return __real_open(path, flags, mode);
}

int __wrap_fcntl(int fd, int command, ...) {
  if (command == F_SETPIPE_SZ) return 0;
  Kernel()->Find(fd, File::Kind::kNetns);
  return Kernel()->Failing(Call::kDuplicate) ? -1 : Kernel()->Open(File::Kind::kNetns);
}

int __wrap_setns(int fd, int) {
  Kernel()->Find(fd, File::Kind::kNetns);
  // Coming back must not fail: the engine ends the process then, as it should.
  static bool inside = false;
  if (!inside && Kernel()->Failing(Call::kSetns)) return -1;
  inside = !inside;
  return 0;
}

int __wrap_bind(int fd, const sockaddr* address, socklen_t length) {
  return Kernel()->Bind(fd, ToAddress(address, length));
}

int __wrap_listen(int fd, int) { return Kernel()->Listen(fd); }

int __wrap_accept4(int fd, sockaddr* out, socklen_t* length, int) {
  Address from;
  int accepted = Kernel()->Accept(fd, &from);
  return accepted < 0 || FromAddress(from, out, length) == 0 ? accepted : -1;
}

int __wrap_connect(int fd, const sockaddr* address, socklen_t length) {
  return Kernel()->Connect(fd, ToAddress(address, length));
}

int __wrap_getsockname(int fd, sockaddr* out, socklen_t* length) {
  File* file = Kernel()->Find(fd, File::Kind::kSocket);
  return FromAddress(file->end != nullptr ? file->end->local : file->bound, out, length);
}

int __wrap_setsockopt(int fd, int level, int option, const void* value, socklen_t) {
  File* file = Kernel()->Find(fd, File::Kind::kSocket);
  if (level == SOL_SOCKET && option == SO_LINGER) file->linger = static_cast<const linger*>(value)->l_onoff != 0;
  return 0;
}

int __wrap_getsockopt(int fd, int, int option, void* value, socklen_t*) {
  File* file = Kernel()->Find(fd, File::Kind::kSocket);
  culvert::Expect(option == SO_ERROR && file->end != nullptr, "only the error is asked for");
  int error = std::exchange(file->end->error, 0);
  memcpy(value, &error, sizeof error);
  return 0;
}

ssize_t __wrap_recv(int fd, void* to, size_t length, int) {
  return Kernel()->Receive(fd, static_cast<uint8_t*>(to), length);
}

ssize_t __wrap_send(int fd, const void* from, size_t length, int) {
  return Kernel()->Send(fd, static_cast<const uint8_t*>(from), length);
}

ssize_t __wrap_sendmsg(int fd, const msghdr* message, int) {
  std::string all;
  for (size_t i = 0; i < message->msg_iovlen; ++i) {
    all.append(static_cast<const char*>(message->msg_iov[i].iov_base), message->msg_iov[i].iov_len);
  }
  return Kernel()->Send(fd, reinterpret_cast<const uint8_t*>(all.data()), all.size());
}

int __wrap_pipe2(int ends[2], int) { return Kernel()->OpenPipe(ends); }

ssize_t __wrap_splice(int from, loff_t*, int to, loff_t*, size_t length, unsigned) {
  return Kernel()->Splice(from, to, length);
}

int __wrap_shutdown(int fd, int) { return Kernel()->Shutdown(fd); }

int __wrap_epoll_create1(int) { return Kernel()->Open(File::Kind::kEpoll); }

int __wrap_epoll_ctl(int epoll, int operation, int fd, epoll_event* event) {
  return Kernel()->EpollControl(epoll, operation, fd, event);
}

int __wrap_epoll_wait(int epoll, epoll_event* out, int max, int timeout) {
  return Kernel()->EpollWait(epoll, out, max, timeout);
}

int __wrap_eventfd(unsigned, int) { return Kernel()->Open(File::Kind::kEvent); }

int __wrap_eventfd_write(int fd, eventfd_t value) {
  Kernel()->Find(fd, File::Kind::kEvent)->count += value;
  return 0;
}

int __wrap_eventfd_read(int fd, eventfd_t* value) {
  File* file = Kernel()->Find(fd, File::Kind::kEvent);
  *value = std::exchange(file->count, 0);
  return 0;
}

int __wrap_getrlimit(__rlimit_resource_t resource, rlimit* out) {
  int result = __real_getrlimit(resource, out);
  if (Kernel() != nullptr && resource == RLIMIT_NOFILE) out->rlim_cur = static_cast<rlim_t>(Kernel()->files_max());
  return result;
}

ssize_t __wrap_getrandom(void* out, size_t length, unsigned flags) {
  if (Kernel() == nullptr) return __real_getrandom(out, length, flags);
  for (size_t i = 0; i < length; ++i) static_cast<uint8_t*>(out)[i] = static_cast<uint8_t>(Kernel()->Chance(256));
  return static_cast<ssize_t>(length);
}

int __wrap_clock_gettime(clockid_t clock, timespec* out) {
  if (Kernel() == nullptr || clock != CLOCK_MONOTONIC) return __real_clock_gettime(clock, out);
  out->tv_sec = static_cast<time_t>(Kernel()->now() / culvert::kSecond);
  out->tv_nsec = static_cast<long>(Kernel()->now() % culvert::kSecond);
  return 0;
}

time_t __wrap_time(time_t* out) {
  static const time_t kBegan = __real_time(nullptr);
  if (Kernel() == nullptr) return __real_time(out);
  return kBegan + static_cast<time_t>(Kernel()->now() / culvert::kSecond) - 1000;
}

}  // extern "C"
