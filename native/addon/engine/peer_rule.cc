#include "peer_rule.h"

#include <openssl/x509v3.h>

#include <algorithm>
#include <memory>

namespace culvert {

static const std::string kScheme = "spiffe://";
static constexpr size_t kIdBytesMax = 2048;
static constexpr size_t kDomainBytesMax = 255;

bool PeerRule::Admits(const std::string& id) const {
  if (id.empty()) return false;
  if (!expected.empty()) return std::find(expected.begin(), expected.end(), id) != expected.end();
  return std::any_of(trust_domains.begin(), trust_domains.end(), [&](const std::string& domain) {
    return !domain.empty() && id.compare(0, kScheme.size() + domain.size() + 1, kScheme + domain + "/") == 0;
  });
}

static bool IsIdCharacter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '_';
}

bool IsSpiffeId(const std::string& text) {
  if (text.size() > kIdBytesMax || text.compare(0, kScheme.size(), kScheme) != 0) return false;
  size_t slash = text.find('/', kScheme.size());
  if (slash == std::string::npos || slash == kScheme.size() || slash > kScheme.size() + kDomainBytesMax) return false;
  for (size_t i = kScheme.size(); i < slash; ++i) {
    if (!IsIdCharacter(text[i])) return false;
  }
  while (slash < text.size()) {
    size_t end = std::min(text.find('/', slash + 1), text.size());
    std::string segment = text.substr(slash + 1, end - slash - 1);
    if (segment.empty() || segment == "." || segment == "..") return false;
    for (char c : segment) {
      if (!IsIdCharacter(c) && !(c >= 'A' && c <= 'Z')) return false;
    }
    slash = end;
  }
  return true;
}

std::string SpiffeIdOf(X509* certificate) {
  // An authority's own certificate is nobody's (X509-SVID section 4.1).
  if (X509_check_ca(certificate) == 1) return {};
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
    if (!id.empty() || length <= 0) return {};
    id.assign(reinterpret_cast<const char*>(ASN1_STRING_get0_data(uri)), static_cast<size_t>(length));
    if (!IsSpiffeId(id)) return {};
  }
  return id;
}

}  // namespace culvert
