// Material of the controller, damaged or mixed up, into an identity: it is taken whole or what was there stays.
#include "identity.h"

#include <openssl/err.h>

#include "byte_source.h"
#include "certificates.h"
#include "fixed_random.h"

namespace culvert {

namespace {

constexpr char kName[] = "spiffe://cluster.local/ns/shop/sa/own";

const IdentityMaterial* Materials() {
  static const IdentityMaterial* const two = [] {
    FixRandom(1);
    TestAuthority authority;
    auto* made = new IdentityMaterial[2];
    made[0] = authority.Issue(kName);
    made[1] = authority.Issue(kName);
    return made;
  }();
  return two;
}

std::string Damaged(ByteSource& script, const std::string& good, const std::string& other) {
  uint8_t how = script.Byte();
  if (how < 100) return good;
  if (how < 130) return other;
  if (how < 150) return good + other;
  if (how < 160) return script.Rest();
  std::string text = good;
  for (int i = how % 4; i >= 0; --i) {
    size_t at = script.Below(text.size());
    if (how < 200) text[at] = static_cast<char>(script.Byte());
    else if (how < 230) text.erase(at, script.Size(100));
    else text.insert(at, script.Bytes(script.Below(50)));
    if (text.empty()) break;
  }
  return text;
}

}  // namespace

}  // namespace culvert

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace culvert;
  const IdentityMaterial* materials = Materials();
  ByteSource script(data, size);
  IdentityStore store("X25519:P-256");
  std::string error;
  Expect(store.Set(materials[0], &error), "good material is taken");
  auto before = store.Find(kName);
  IdentityMaterial material = materials[0];
  material.certificate_chain = Damaged(script, material.certificate_chain, materials[1].certificate_chain);
  material.private_key = Damaged(script, material.private_key, materials[1].private_key);
  material.roots = Damaged(script, material.roots, materials[1].certificate_chain);
  bool taken = store.Set(material, &error);
  auto after = store.Find(kName);
  Expect(taken ? after != before && after->version() > before->version() : after == before && !error.empty(),
         "it is taken, or refused with a reason");
  Expect(after->client() != nullptr && after->server() != nullptr, "an identity is usable");
  Expect(SSL_CTX_check_private_key(after->server()) == 1, "the key is the certificate's");
  Expect(ERR_peek_error() == 0, "the error queue is left clean");
  return 0;
}
