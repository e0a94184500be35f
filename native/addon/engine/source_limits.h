// How many tunnels and handshakes one source address may have at the engine, how many its network, and all together;
// and how often a source may fail.
#pragma once

#include <mutex>
#include <string>
#include <unordered_map>

#include "counters.h"
#include "rate_limit.h"
#include "types.h"

namespace culvert {

class SourceLimits {
 public:
  /** Counts a tunnel that starts its handshake. False and the bound in `refused` if there are too many. */
  bool Enter(const Address& source, const Limits& limits, Nanos now, Counter* refused);
  void HandshakeDone(const Address& source);
  /** The tunnel ended; `in_handshake` if HandshakeDone was not called. */
  void Leave(const Address& source, bool in_handshake);
  /** A handshake of this source came to nothing, and it was not us who ended it for want of room. */
  void Failed(const Address& source, const Limits& limits, Nanos now);

  /** Tunnels of all sources. */
  int size();

 private:
  /** Tunnels of one IPv6 /64, as a multiple of those of one address: a node's pods may share it. */
  static constexpr int kAddressesPerNetwork = 16;
  /** Sources whose failures are remembered. */
  static constexpr size_t kFailingMax = 4096;

  struct Count {
    int tunnels = 0;
    int handshakes = 0;
  };
  std::mutex mutex_;
  int tunnels_ = 0;
  std::unordered_map<std::string, Count> counts_;
  /** Of IPv6 alone. */
  std::unordered_map<std::string, int> networks_;
  std::unordered_map<std::string, RateLimit> failing_;
};

}  // namespace culvert
