#include "peer_rule.h"

#include <openssl/x509v3.h>

#include <algorithm>
#include <memory>

namespace culvert {

static const std::string kScheme = "spiffe://";
static constexpr int kIdBytesMax = 2048;

bool PeerRule::Admits(const std::string& id) const {
  if (id.empty()) return false;
  if (!expected.empty()) return std::find(expected.begin(), expected.end(), id) != expected.end();
  return std::any_of(trust_domains.begin(), trust_domains.end(), [&](const std::string& domain) {
    return !domain.empty() && id.compare(0, kScheme.size() + domain.size() + 1, kScheme + domain + "/") == 0;
  });
}

std::string SpiffeIdOf(X509* certificate) {
  std::unique_ptr<GENERAL_NAMES, decltype(&GENERAL_NAMES_free)> names(
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)),
      &GENERAL_NAMES_free);
  if (names == nullptr) return {};
  std::string id;
  for (int i = 0; i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), i);
    if (name->type != GEN_URI) continue;
    const ASN1_IA5STRING* uri = name->d.uniformResourceIdentifier;
    int length = ASN1_STRING_length(uri);
    if (!id.empty() || length <= 0 || length > kIdBytesMax) return {};
    id.assign(reinterpret_cast<const char*>(ASN1_STRING_get0_data(uri)), static_cast<size_t>(length));
    if (id.find('\0') != std::string::npos || id.compare(0, kScheme.size(), kScheme) != 0) return {};
  }
  return id;
}

}  // namespace culvert
