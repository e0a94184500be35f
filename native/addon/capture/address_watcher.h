// Follows the addresses of a namespace on the event loop that made it. No thread.
#pragma once

#include <uv.h>

#include <functional>
#include <memory>

#include "capture/netlink.h"

namespace culvert::capture {

class AddressWatcher {
 public:
  ~AddressWatcher() { Close(); }
  // Calls `changed` after one or more addresses or interfaces came or went. 0 or -errno.
  int Open(uv_loop_t* loop, int netns, std::function<void()> changed);
  // Idempotent; `changed` is not called any more.
  void Close();

 private:
  struct Subscription;
  Subscription* subscription_ = nullptr;
};

}  // namespace culvert::capture
