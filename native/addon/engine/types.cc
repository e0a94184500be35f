#include "types.h"

namespace culvert {

const std::vector<std::string>& ReasonNames() {
  static const std::vector<std::string> names = {
      "ok",           "denied",      "no_route",         "no_waypoint", "self_call",
      "bad_request",  "connect_failed", "network_policy", "tls_failure", "h2_failure",
      "identity_error", "cert_revoked", "peer_status",    "peer_reset",  "app_reset",
      "tunnel_lost",  "decision_timeout", "limit",        "drained",     "closed_by_request",
  };
  return names;
}

}  // namespace culvert
