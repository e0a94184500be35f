// A certificate, as DER or with subject alternative names that a script chooses, into the question whose it is.
#include <openssl/err.h>
#include <openssl/x509v3.h>

#include <vector>

#include "byte_source.h"
#include "peer_rule.h"

namespace culvert {

namespace {

constexpr size_t kIdBytesMax = 2048;

/** Adds a name of any type; a URI is remembered in `uris`. */
void AddName(ByteSource& script, GENERAL_NAMES* names, std::vector<std::string>* uris) {
  static const std::string kStarts[] = {"spiffe://", "spiffe://cluster.local/ns/a/sa/b", "SPIFFE://", "https://x", "",
                                        "spiffe://cluster.local.evil/", "spiffe://cluster.local"};
  static constexpr int kTypes[] = {GEN_URI, GEN_DNS, GEN_EMAIL};
  uint8_t choice = script.Byte();
  std::string text = kStarts[choice % std::size(kStarts)];
  text += choice < 240 ? script.Bytes(script.Below(60)) : std::string(script.Size(3000), 'x');
  int type = kTypes[choice < 200 ? 0 : choice % 3];
  GENERAL_NAME* name = GENERAL_NAME_new();
  ASN1_IA5STRING* value = ASN1_IA5STRING_new();
  ASN1_STRING_set(value, text.data(), static_cast<int>(text.size()));
  GENERAL_NAME_set0_value(name, type, value);
  sk_GENERAL_NAME_push(names, name);
  if (type == GEN_URI) uris->push_back(text);
}

void Judge(const std::string& id) {
  Expect(id.size() <= kIdBytesMax && id.find('\0') == std::string::npos, "an id is short and has no NUL");
  Expect(id.empty() || id.compare(0, 9, "spiffe://") == 0, "an id is a SPIFFE id");
  PeerRule domain;
  domain.trust_domains = {"cluster.local", ""};
  Expect(domain.Admits(id) == (id.compare(0, 23, "spiffe://cluster.local/") == 0), "the trust domain is a whole one");
  PeerRule exact;
  exact.expected = {"spiffe://cluster.local/ns/a/sa/b"};
  exact.trust_domains = {"cluster.local"};
  Expect(exact.Admits(id) == (id == exact.expected[0]), "one of the expected, whatever the domain");
  Expect(!PeerRule().Admits(id), "no rule admits nobody");
}

}  // namespace

}  // namespace culvert

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace culvert;
  ByteSource script(data, size);
  if (script.Flag()) {
    std::string der = script.Rest();
    const auto* at = reinterpret_cast<const unsigned char*>(der.data());
    X509* certificate = d2i_X509(nullptr, &at, static_cast<long>(der.size()));
    if (certificate != nullptr) Judge(SpiffeIdOf(certificate));
    X509_free(certificate);
    ERR_clear_error();
    return 0;
  }
  GENERAL_NAMES* names = GENERAL_NAMES_new();
  std::vector<std::string> uris;
  for (size_t count = script.Byte() % 4; count > 0; --count) AddName(script, names, &uris);
  X509* certificate = X509_new();
  X509_add1_ext_i2d(certificate, NID_subject_alt_name, names, 0, X509V3_ADD_DEFAULT);
  std::string id = SpiffeIdOf(certificate);
  Judge(id);
  Expect(id.empty() || (uris.size() == 1 && uris[0] == id), "an id is the only URI");
  X509_free(certificate);
  GENERAL_NAMES_free(names);
  ERR_clear_error();
  return 0;
}
