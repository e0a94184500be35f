#include "counters.h"

namespace culvert {

const char* CounterName(Counter counter) {
  switch (counter) {
    case Counter::kEventQueueFull: return "event_queue";
    case Counter::kUndecidedPerPod: return "undecided_per_pod";
    case Counter::kUndecidedTotal: return "undecided_total";
    case Counter::kConnectionTableFull: return "connection_table";
    case Counter::kHandshakesPerThread: return "handshakes_per_thread";
    case Counter::kHandshakesPerSource: return "handshakes_per_source";
    case Counter::kTunnelsPerSource: return "tunnels_per_source";
    case Counter::kUndecidedPerTunnel: return "undecided_per_tunnel";
    case Counter::kBufferBytes: return "buffer_bytes";
    case Counter::kDescriptors: return "descriptors";
    case Counter::kPoolWaiting: return "pool_waiting";
    case Counter::kOutboundFrames: return "outbound_frames";
    case Counter::kInboundTunnels: return "inbound_tunnels";
    case Counter::kTunnelsPerNetwork: return "tunnels_per_network";
    case Counter::kFailedHandshakesPerSource: return "failed_handshakes_per_source";
    case Counter::kRefusedRequests: return "refused_requests";
    case Counter::kRouteCacheFull: return "route_cache";
    case Counter::kHeaderListTooLarge: return "header_list_too_large";
    case Counter::kHandshakeTimeout: return "handshake_timeout";
    case Counter::kHandshakeFailed: return "handshake_failed";
    case Counter::kPrefaceTimeout: return "preface_timeout";
    case Counter::kNotHttp2: return "not_http2";
    case Counter::kNotConnect: return "not_connect";
    case Counter::kPingFlood: return "ping_flood";
    case Counter::kSettingsFlood: return "settings_flood";
    case Counter::kWindowUpdateFlood: return "window_update_flood";
    case Counter::kTinyDataFlood: return "tiny_data_flood";
    case Counter::kKeyUpdateFlood: return "key_update_flood";
    case Counter::kTlsError: return "tls_error";
    case Counter::kResetFlood: return "reset_flood";
    case Counter::kEmptyDataFlood: return "empty_data_flood";
    case Counter::kOddFrameFlood: return "odd_frame_flood";
    case Counter::kBadRequestFlood: return "bad_request_flood";
    case Counter::kProtocolError: return "protocol_error";
    case Counter::kStreamError: return "stream_error";
    case Counter::kUnreadOutput: return "unread_output";
    case Counter::kPingTimeout: return "ping_timeout";
    case Counter::kTruncatedTunnel: return "truncated_tunnel";
    case Counter::kDecisionTimeout: return "decision_timeout";
    case Counter::kIdentityMissing: return "identity_missing";
    case Counter::kRetriedStreams: return "retried_streams";
    case Counter::kStalledStreamReset: return "stalled_stream_reset";
    case Counter::kDecisionsReused: return "decisions_reused";
    case Counter::kLastBound:
    case Counter::kCount: break;
  }
  return "";
}

}  // namespace culvert
