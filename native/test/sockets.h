// Blocking sockets of the applications at both ends.
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <string>
#include <thread>

#include "fd.h"

namespace culvert {

/** Connected to this port of 127.0.0.1. Throws if it cannot; reads and writes give up after 20 s. */
Fd Dial(uint16_t port);
/** All of it, or false: the peer reset the connection. */
bool WriteAll(int fd, const std::string& data);
/** Up to the peer's end. `error` gets the errno that ended it instead, or 0. */
std::string ReadToEnd(int fd, int* error = nullptr);
/** Up to `length` bytes, fewer at the end. */
std::string ReadSome(int fd, size_t length);
/** Closing it sends a RST. */
void ResetAndClose(Fd fd);
/** `length` bytes that differ by seed and place. */
std::string Pattern(size_t length, uint32_t seed);

/** Accepts on a port of 127.0.0.1 and runs `serve` on a thread per connection. */
class Application {
 public:
  explicit Application(std::function<void(Fd)> serve);
  ~Application();
  uint16_t port() const { return port_; }

  /** Sends back what comes until the end, then ends. */
  static void Echo(Fd fd);

 private:
  void Accept();

  std::function<void(Fd)> serve_;
  Fd listener_;
  uint16_t port_ = 0;
  std::list<std::thread> servers_;
  std::thread acceptor_;
};

}  // namespace culvert
