#include "certificates.h"

#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "check.h"

namespace culvert {

namespace {

EVP_PKEY* MakeKey() {
  EVP_PKEY* key = EVP_EC_gen("P-256");
  Check(key != nullptr, "a key is made");
  return key;
}

void AddExtension(X509* certificate, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str());
  Check(extension != nullptr && X509_add_ext(certificate, extension, -1) == 1, "an extension is added");
  X509_EXTENSION_free(extension);
}

X509* MakeCertificate(EVP_PKEY* key, long serial, const char* common_name) {
  X509* certificate = X509_new();
  X509_set_version(certificate, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate), serial);
  X509_gmtime_adj(X509_getm_notBefore(certificate), -60);
  X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
  X509_set_pubkey(certificate, key);
  X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>(common_name), -1, -1, 0);
  return certificate;
}

std::string Drain(BIO* bio) {
  char* data = nullptr;
  long length = BIO_get_mem_data(bio, &data);
  std::string text(data, static_cast<size_t>(length));
  BIO_free(bio);
  return text;
}

std::string ToPem(X509* certificate) {
  BIO* bio = BIO_new(BIO_s_mem());
  PEM_write_bio_X509(bio, certificate);
  return Drain(bio);
}

std::string ToPem(EVP_PKEY* key) {
  BIO* bio = BIO_new(BIO_s_mem());
  PEM_write_bio_PKCS8PrivateKey(bio, key, nullptr, nullptr, 0, nullptr, nullptr);
  return Drain(bio);
}

}  // namespace

TestAuthority::TestAuthority() : key_(MakeKey()), root_(MakeCertificate(key_, serial_, "test root")) {
  X509_set_issuer_name(root_, X509_get_subject_name(root_));
  AddExtension(root_, root_, NID_basic_constraints, "critical,CA:TRUE");
  AddExtension(root_, root_, NID_key_usage, "critical,keyCertSign");
  Check(X509_sign(root_, key_, EVP_sha256()) != 0, "the root is signed");
}

TestAuthority::~TestAuthority() {
  X509_free(root_);
  EVP_PKEY_free(key_);
}

IdentityMaterial TestAuthority::Issue(const std::string& spiffe_id) {
  EVP_PKEY* key = MakeKey();
  X509* leaf = MakeCertificate(key, ++serial_, "workload");
  X509_set_issuer_name(leaf, X509_get_subject_name(root_));
  AddExtension(leaf, root_, NID_key_usage, "critical,digitalSignature");
  AddExtension(leaf, root_, NID_ext_key_usage, "serverAuth,clientAuth");
  AddExtension(leaf, root_, NID_subject_alt_name, "URI:" + spiffe_id);
  Check(X509_sign(leaf, key_, EVP_sha256()) != 0, "a leaf is signed");
  IdentityMaterial material{spiffe_id, ToPem(leaf), ToPem(key), ToPem(root_), {"cluster.local"}};
  X509_free(leaf);
  EVP_PKEY_free(key);
  return material;
}

}  // namespace culvert
