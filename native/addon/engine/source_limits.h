// How many tunnels and handshakes one source address may have at the engine.
#pragma once

#include <mutex>
#include <string>
#include <unordered_map>

#include "counters.h"
#include "types.h"

namespace culvert {

class SourceLimits {
 public:
  /** Counts a tunnel that starts its handshake. False and the bound in `refused` if the source has too many. */
  bool Enter(const Address& source, const Limits& limits, Counter* refused);
  void HandshakeDone(const Address& source);
  /** The tunnel ended; `in_handshake` if HandshakeDone was not called. */
  void Leave(const Address& source, bool in_handshake);

 private:
  struct Count {
    int tunnels = 0;
    int handshakes = 0;
  };
  std::mutex mutex_;
  std::unordered_map<std::string, Count> counts_;
};

}  // namespace culvert
