#include "source_limits.h"

namespace culvert {

bool SourceLimits::Enter(const Address& source, const Limits& limits, Nanos now, Counter* refused) {
  std::lock_guard<std::mutex> lock(mutex_);
  if (tunnels_ >= limits.inbound_tunnels) {
    *refused = Counter::kInboundTunnels;
    return false;
  }
  std::string host = source.Host();
  auto failing = failing_.find(host);
  if (failing != failing_.end() && !failing->second.Available(now)) {
    *refused = Counter::kFailedHandshakesPerSource;
    return false;
  }
  bool v6 = source.family == AF_INET6;
  if (v6) {
    auto network = networks_.find(source.Network());
    if (network != networks_.end() && network->second >= kAddressesPerNetwork * limits.tunnels_per_source) {
      *refused = Counter::kTunnelsPerNetwork;
      return false;
    }
  }
  auto found = counts_.find(host);
  if (found != counts_.end() && found->second.handshakes >= limits.handshakes_per_source) {
    *refused = Counter::kHandshakesPerSource;
    return false;
  }
  if (found != counts_.end() && found->second.tunnels >= limits.tunnels_per_source) {
    *refused = Counter::kTunnelsPerSource;
    return false;
  }
  Count& count = found != counts_.end() ? found->second : counts_[host];
  ++count.tunnels;
  ++count.handshakes;
  ++tunnels_;
  if (v6) ++networks_[source.Network()];
  return true;
}

void SourceLimits::HandshakeDone(const Address& source) {
  std::lock_guard<std::mutex> lock(mutex_);
  auto found = counts_.find(source.Host());
  if (found != counts_.end()) --found->second.handshakes;
}

void SourceLimits::Leave(const Address& source, bool in_handshake) {
  std::lock_guard<std::mutex> lock(mutex_);
  auto found = counts_.find(source.Host());
  if (found == counts_.end()) return;
  --tunnels_;
  if (in_handshake) --found->second.handshakes;
  if (--found->second.tunnels <= 0) counts_.erase(found);
  auto network = networks_.find(source.Network());
  if (source.family == AF_INET6 && network != networks_.end() && --network->second <= 0) networks_.erase(network);
}

void SourceLimits::Failed(const Address& source, const Limits& limits, Nanos now) {
  std::lock_guard<std::mutex> lock(mutex_);
  std::string host = source.Host();
  auto found = failing_.find(host);
  if (found == failing_.end()) {
    // Who is forgotten may fail as often again: the memory is bounded before the rate is.
    if (failing_.size() >= kFailingMax) failing_.erase(failing_.begin());
    double burst = limits.failed_handshakes_per_source;
    found = failing_.emplace(std::move(host), RateLimit(burst, burst / 10)).first;
  }
  found->second.Take(now);
}

int SourceLimits::size() {
  std::lock_guard<std::mutex> lock(mutex_);
  return tunnels_;
}

}  // namespace culvert
