// Token bucket for what a peer may do per second.
#pragma once

#include "clock.h"

namespace culvert {

class RateLimit {
 public:
  RateLimit(double burst, double per_second) : burst_(burst), per_second_(per_second), tokens_(burst) {}

  /** Whether Take would succeed. */
  bool Available(Nanos now) const { return tokens_ + static_cast<double>(now - last_) / kSecond * per_second_ >= 1; }

  /** False once the peer has spent its burst faster than it refills. */
  bool Take(Nanos now) {
    tokens_ += static_cast<double>(now - last_) / kSecond * per_second_;
    last_ = now;
    if (tokens_ > burst_) tokens_ = burst_;
    if (tokens_ < 1) return false;
    tokens_ -= 1;
    return true;
  }

 private:
  double burst_;
  double per_second_;
  double tokens_;
  Nanos last_ = 0;
};

}  // namespace culvert
