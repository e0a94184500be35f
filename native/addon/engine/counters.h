// Refusals and violations since start, and the gauges of stats(). Counted by reason, never by peer.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace culvert {

enum class Counter : uint8_t {
  // Bounds: reported as `overload` too, up to kLastBound.
  kEventQueueFull,
  kUndecidedPerPod,
  kUndecidedTotal,
  kConnectionTableFull,
  kHandshakesPerThread,
  kHandshakesPerSource,
  kTunnelsPerSource,
  kUndecidedPerTunnel,
  kBufferBytes,
  kDescriptors,
  kPoolWaiting,
  kOutboundFrames,
  kInboundTunnels,
  kTunnelsPerNetwork,
  kFailedHandshakesPerSource,
  kRefusedRequests,
  kRouteCacheFull,
  kHeaderListTooLarge,
  kLastBound,
  // Violations and failures.
  kHandshakeTimeout,
  kHandshakeFailed,
  kPrefaceTimeout,
  kNotHttp2,
  kNotConnect,
  kPingFlood,
  kSettingsFlood,
  kWindowUpdateFlood,
  kTinyDataFlood,
  kKeyUpdateFlood,
  kTlsError,
  kResetFlood,
  kEmptyDataFlood,
  kOddFrameFlood,
  kBadRequestFlood,
  kProtocolError,
  kStreamError,
  kUnreadOutput,
  kPingTimeout,
  kTruncatedTunnel,
  kDecisionTimeout,
  kIdentityMissing,
  kRetriedStreams,
  kStalledStreamReset,
  // Of interest beside them.
  kDecisionsReused,
  kCount,
};

const char* CounterName(Counter counter);

class Counters {
 public:
  void Add(Counter counter) { values_[static_cast<size_t>(counter)].fetch_add(1, std::memory_order_relaxed); }
  uint64_t Get(Counter counter) const { return values_[static_cast<size_t>(counter)].load(std::memory_order_relaxed); }

  std::atomic<int64_t> undecided{0};
  std::atomic<int64_t> tunnels_inbound{0};
  std::atomic<int64_t> tunnels_outbound{0};

 private:
  std::array<std::atomic<uint64_t>, static_cast<size_t>(Counter::kCount)> values_{};
};

}  // namespace culvert
