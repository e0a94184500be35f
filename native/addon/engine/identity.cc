#include "identity.h"

#include <openssl/err.h>
#include <openssl/pem.h>

#include "peer_rule.h"
#include "records.h"

namespace culvert {

namespace {

/** All certificates of a peer, and all names of authorities that a server sends. */
constexpr long kCertificateBytesMax = 64 * 1024;
constexpr int kIntermediatesMax = 8;

struct BioFree { void operator()(BIO* bio) const { BIO_free(bio); } };
struct X509Free { void operator()(X509* x509) const { X509_free(x509); } };
struct KeyFree { void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); } };
using BioPtr = std::unique_ptr<BIO, BioFree>;
using X509Ptr = std::unique_ptr<X509, X509Free>;
using KeyPtr = std::unique_ptr<EVP_PKEY, KeyFree>;

std::vector<X509Ptr> ReadCertificates(const std::string& pem) {
  std::vector<X509Ptr> out;
  BioPtr bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  while (X509* x509 = PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr)) out.emplace_back(x509);
  ERR_clear_error();
  return out;
}

/** Never asks a terminal for a passphrase. */
int NoPassphrase(char*, int, int, void*) { return 0; }

KeyPtr ReadKey(const std::string& pem) {
  BioPtr bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  return KeyPtr(PEM_read_bio_PrivateKey(bio.get(), nullptr, NoPassphrase, nullptr));
}

time_t ToTime(const ASN1_TIME* from) {
  tm fields = {};
  return ASN1_TIME_to_tm(from, &fields) == 1 ? timegm(&fields) : 0;
}

/** Exactly `h2`; whoever offers protocols and not this one is refused with an alert. */
int SelectAlpn(SSL*, const unsigned char** out, unsigned char* out_length, const unsigned char* in,
               unsigned int in_length, void*) {
  for (unsigned int at = 0; at < in_length; at += in[at] + 1u) {
    if (in[at] == 2 && at + 2 < in_length && in[at + 1] == 'h' && in[at + 2] == '2') {
      *out = in + at + 1;
      *out_length = 2;
      return SSL_TLSEXT_ERR_OK;
    }
  }
  return SSL_TLSEXT_ERR_ALERT_FATAL;
}

bool Configure(SSL_CTX* ctx, const std::vector<X509Ptr>& chain, EVP_PKEY* key, const std::vector<X509Ptr>& roots,
               const std::string& groups) {
  static const unsigned char kAlpn[] = {2, 'h', '2'};
  bool ok = SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) == 1 &&
            SSL_CTX_set_max_proto_version(ctx, TLS1_3_VERSION) == 1 &&
            SSL_CTX_set_ciphersuites(ctx, "TLS_AES_256_GCM_SHA384:TLS_AES_128_GCM_SHA256") == 1 &&
            SSL_CTX_set1_groups_list(ctx, groups.c_str()) == 1 &&
            SSL_CTX_use_certificate(ctx, chain[0].get()) == 1 && SSL_CTX_use_PrivateKey(ctx, key) == 1 &&
            SSL_CTX_check_private_key(ctx) == 1 && SSL_CTX_set_alpn_protos(ctx, kAlpn, sizeof kAlpn) == 0;
  for (size_t i = 1; ok && i < chain.size(); ++i) ok = SSL_CTX_add1_chain_cert(ctx, chain[i].get()) == 1;
  // The bundle alone: the machine's default roots have no say in who is a workload.
  X509_STORE* store = SSL_CTX_get_cert_store(ctx);
  for (const X509Ptr& root : roots) ok = ok && X509_STORE_add_cert(store, root.get()) == 1;
  if (!ok) return false;
  SSL_CTX_set_alpn_select_cb(ctx, SelectAlpn, nullptr);
  SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, Records::VerifyPeer);
  // No resumption: OpenSSL would skip the verify callback for a resumed peer.
  SSL_CTX_set_num_tickets(ctx, 0);
  SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
#ifdef SSL_OP_NO_TX_CERTIFICATE_COMPRESSION
  // Brotli on each client certificate made handshakes three times as dear.
  SSL_CTX_set_options(ctx, SSL_OP_NO_TX_CERTIFICATE_COMPRESSION | SSL_OP_NO_RX_CERTIFICATE_COMPRESSION);
#endif
  // What a stranger may make us read and build before it has proven anything.
  SSL_CTX_set_max_cert_list(ctx, kCertificateBytesMax);
  SSL_CTX_set_verify_depth(ctx, kIntermediatesMax);
  SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_msg_callback(ctx, Records::OnMessage);
  return true;
}

std::string TakeError() {
  char text[256] = "unknown";
  unsigned long code = ERR_peek_error();
  if (code != 0) ERR_error_string_n(code, text, sizeof text);
  ERR_clear_error();
  return text;
}

}  // namespace

Identity::~Identity() {
  SSL_CTX_free(client_);
  SSL_CTX_free(server_);
}

std::shared_ptr<const Identity> Identity::Make(const IdentityMaterial& material, const std::string& groups,
                                               uint64_t version, std::string* error) {
  ERR_clear_error();
  std::vector<X509Ptr> chain = ReadCertificates(material.certificate_chain);
  std::vector<X509Ptr> roots = ReadCertificates(material.roots);
  KeyPtr key = ReadKey(material.private_key);
  if (chain.empty() || roots.empty() || key == nullptr) {
    *error = chain.empty() ? "no certificate" : roots.empty() ? "no root" : "no private key";
    ERR_clear_error();
    return nullptr;
  }
  std::shared_ptr<Identity> identity(new Identity);
  identity->name_ = material.name;
  identity->trust_domains_ = material.trust_domains;
  identity->version_ = version;
  identity->not_before_ = ToTime(X509_get0_notBefore(chain[0].get()));
  identity->not_after_ = ToTime(X509_get0_notAfter(chain[0].get()));
  for (SSL_CTX** ctx : {&identity->client_, &identity->server_}) {
    *ctx = SSL_CTX_new(ctx == &identity->client_ ? TLS_client_method() : TLS_server_method());
    if (*ctx == nullptr || !Configure(*ctx, chain, key.get(), roots, groups)) {
      *error = TakeError();
      return nullptr;
    }
  }
  ERR_clear_error();
  return identity;
}

bool IdentityStore::Set(const IdentityMaterial& material, std::string* error) {
  std::lock_guard<std::mutex> lock(mutex_);
  auto identity = Identity::Make(material, groups_, version_ + 1, error);
  if (identity == nullptr) return false;
  ++version_;
  identities_[material.name] = std::move(identity);
  return true;
}

void IdentityStore::Remove(const std::string& name) {
  std::lock_guard<std::mutex> lock(mutex_);
  identities_.erase(name);
}

std::shared_ptr<const Identity> IdentityStore::Find(const std::string& name) {
  std::lock_guard<std::mutex> lock(mutex_);
  auto found = identities_.find(name);
  return found == identities_.end() ? nullptr : found->second;
}

}  // namespace culvert
