#include "source_limits.h"

namespace culvert {

bool SourceLimits::Enter(const Address& source, const Limits& limits, Counter* refused) {
  std::lock_guard<std::mutex> lock(mutex_);
  Count& count = counts_[source.Host()];
  if (count.tunnels >= limits.tunnels_per_source) {
    *refused = Counter::kTunnelsPerSource;
    return false;
  }
  if (count.handshakes >= limits.handshakes_per_source) {
    *refused = Counter::kHandshakesPerSource;
    return false;
  }
  ++count.tunnels;
  ++count.handshakes;
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
  if (in_handshake) --found->second.handshakes;
  if (--found->second.tunnels <= 0) counts_.erase(found);
}

}  // namespace culvert
