// Pipes through which bytes go from one socket to another without a copy (splice(2)): the pages of the one's receive
// queue become those of the other's send queue. One is taken for the moment that bytes are in it, so that an idle
// connection has none.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <memory>
#include <vector>

#include "fd.h"

namespace culvert {

class Pipe {
 public:
  /** Null if there are no descriptors left. */
  static std::unique_ptr<Pipe> Open();

  /** Bytes in it. */
  size_t held() const { return held_; }
  /** From a socket, while nothing is held: bytes, 0 at its end, or -1 and errno. */
  ssize_t Fill(int socket);
  /** To a socket, as much as it takes: -1 and errno if that is nothing. */
  ssize_t Drain(int socket);

 private:
  Pipe() = default;
  Fd in_;
  Fd out_;
  size_t held_ = 0;
};

/** Of one thread. */
class PipePool {
 public:
  /** Null if as many as may be are in use. */
  std::unique_ptr<Pipe> Take();
  /** One that holds bytes is closed, and they are gone. */
  void Give(std::unique_ptr<Pipe> pipe);

 private:
  static constexpr size_t kOpenMax = 64;
  static constexpr size_t kKept = 8;
  std::vector<std::unique_ptr<Pipe>> free_;
  size_t used_ = 0;
};

}  // namespace culvert
