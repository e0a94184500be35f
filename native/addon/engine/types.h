// The vocabulary that the engine shares with its caller: the C++ twin of src/engine/types.ts.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "address.h"

namespace culvert {

/** Index into ConnectionTable and a generation; see connection_table.h. */
using ConnectionId = uint64_t;
using TunnelId = uint64_t;
using Headers = std::vector<std::pair<std::string, std::string>>;

/** In the order of `closeReasons` in src/engine/events.ts; the names are compared when the addon is loaded. */
enum class Reason : uint8_t {
  kOk,
  kDenied,
  kNoRoute,
  kNoWaypoint,
  kSelfCall,
  kBadRequest,
  kConnectFailed,
  kNetworkPolicy,
  kTlsFailure,
  kH2Failure,
  kIdentityError,
  kCertRevoked,
  kPeerStatus,
  kPeerReset,
  kAppReset,
  kTunnelLost,
  kDecisionTimeout,
  kLimit,
  kDrained,
  kClosedByRequest,
};

/** Names in the order of `Reason`. */
const std::vector<std::string>& ReasonNames();

enum class EndedBy : uint8_t { kInitiator, kTarget, kEngine };
enum class Direction : uint8_t { kInbound, kOutbound };

struct Limits {
  int undecided_per_pod = 1024;
  int undecided_total = 8192;
  int streams_per_tunnel = 100;
  int handshakes_per_thread = 256;
  int handshakes_per_source = 64;
  int tunnels_per_source = 64;
  int inbound_tunnels = 8192;
  /** At once; a tenth of it per second. */
  int failed_handshakes_per_source = 200;
  int64_t buffer_bytes = 128 << 20;
  int idle_tunnels = 512;
  /** Descriptors below the limit of the process that connections do not get; at most a quarter of the limit. */
  int reserved_descriptors = 256;
};

struct Timeouts {
  int decision_ms = 5000;
  int dial_ms = 10000;
  int handshake_ms = 5000;
  int preface_ms = 5000;
  int connect_response_ms = 15000;
  int ping_interval_ms = 10000;
  int ping_timeout_ms = 20000;
  int stalled_stream_ms = 60000;
  int idle_tunnel_ms = 300000;
};

struct Options {
  int threads = 0;
  uint32_t mark = 0x539;
  std::string groups = "*X25519MLKEM768:*X25519:P-256";
  Limits limits;
  Timeouts timeouts;
};

/** A decision with a ticket may be given again, for as long as the epoch is the engine's. */
struct Reuse {
  /** 0: only this once. */
  uint64_t ticket = 0;
  uint64_t epoch = 0;
};

struct TunnelDecision {
  Address via;
  std::string authority;
  std::string tls_identity;
  std::vector<std::string> expected_identities;
  /** In values `{client}` stands for the client's address, `{trace}` for the two ids of a traceparent. */
  Headers headers;
};

struct DeliverDecision {
  Address to;
  /** Family 0: the kernel chooses. The port is ignored. */
  Address source;
  Headers headers;
  Reuse reuse;
  /** Of the request; needed where it may be given again. */
  std::string authority;
};

struct IdentityMaterial {
  std::string name;
  std::string certificate_chain;
  std::string private_key;
  std::string roots;
  std::vector<std::string> trust_domains;
};

}  // namespace culvert
