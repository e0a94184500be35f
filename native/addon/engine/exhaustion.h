// The machine has no more of something: descriptors, or memory. What is said here decides nothing else than that the
// process keeps a reserve, and how it ends when there is none.
#pragma once

#include <atomic>

namespace culvert {

/** True for the errnos that say that descriptors, kernel memory or epoll watches are used up. */
bool IsExhausted(int error);

/**
 * Which descriptors connections may have. The kernel gives the lowest number that is free: one of the last `reserve`
 * below RLIMIT_NOFILE means that all others are taken. Those are for the control plane: certificates, configuration,
 * capture, the admin endpoint.
 */
class Descriptors {
 public:
  explicit Descriptors(int reserve) : reserve_(reserve) { Refresh(); }

  /** One more than the highest number that a connection may have. */
  int end() const { return end_.load(std::memory_order_relaxed); }
  bool ForConnections(int fd) const { return fd < end(); }
  /** Reads the limit again: it can be changed while the process runs. */
  void Refresh();

 private:
  const int reserve_;
  std::atomic<int> end_{0};
};

/**
 * On the calling thread, memory that cannot be had for C++ objects ends the process, with a last line on standard
 * error: no connection is in a state that anyone could go on from.
 */
void EndWithoutMemory();

/** Says so and ends the process. */
[[noreturn]] void OutOfMemory();

}  // namespace culvert
