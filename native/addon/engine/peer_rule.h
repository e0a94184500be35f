// Who may be at the other end of a TLS connection, beyond having a certificate that our roots signed.
#pragma once

#include <openssl/x509.h>

#include <string>
#include <vector>

namespace culvert {

struct PeerRule {
  /** Client side: the peer is one of these. Empty: the trust domains decide. */
  std::vector<std::string> expected;
  /** Server side: the peer is of one of these. */
  std::vector<std::string> trust_domains;

  /** Whether `id` may pass; pure. */
  bool Admits(const std::string& id) const;
};

/**
 * Whether `text` is an id with a path as SPIFFE-ID section 2 writes it: lower-case trust domain, no user, port, query,
 * fragment, percent or empty segment. So two spellings of one identity cannot exist.
 */
bool IsSpiffeId(const std::string& text);

/** The one SPIFFE id of a certificate (X.509-SVID section 2); empty if there is none, several, or a malformed one. */
std::string SpiffeIdOf(X509* certificate);

}  // namespace culvert
