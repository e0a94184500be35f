// Being in a pod's network namespace for the time of a few calls.
#pragma once

#include "fd.h"

namespace culvert {

/** The namespace of the calling thread; invalid if it cannot be opened. */
Fd OpenOwnNetns();

/**
 * Puts the calling thread into `netns` until it is destroyed. A thread that could not come back would make every
 * later socket in a pod's namespace, so that ends the process.
 */
class NetnsScope {
 public:
  NetnsScope(int netns, int own);
  ~NetnsScope();
  NetnsScope(const NetnsScope&) = delete;
  NetnsScope& operator=(const NetnsScope&) = delete;

  /** 0, or the errno of entering. */
  int error() const { return error_; }

 private:
  int own_;
  int error_ = 0;
};

}  // namespace culvert
