// Token bucket for what a peer may do per second.
#pragma once

#include "clock.h"

namespace culvert {

class RateLimit {
 public:
  RateLimit(double burst, double per_second) : burst_(burst), per_second_(per_second), tokens_(burst) {}

  /** Whether Take would succeed. */
  bool Available(Nanos now) const { return Refilled(now) >= 1; }

  /** False once the peer has spent its burst faster than it refills. */
  bool Take(Nanos now) {
    tokens_ = Refilled(now);
    if (now > last_) last_ = now;
    if (tokens_ < 1) return false;
    tokens_ -= 1;
    return true;
  }

 private:
  /** Threads see the time of their own turn: a later call may bring an earlier one. */
  double Refilled(Nanos now) const {
    double tokens = now > last_ ? tokens_ + static_cast<double>(now - last_) / kSecond * per_second_ : tokens_;
    return tokens > burst_ ? burst_ : tokens;
  }

  double burst_;
  double per_second_;
  double tokens_;
  Nanos last_ = 0;
};

}  // namespace culvert
