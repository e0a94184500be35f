// A certificate authority of the test's own, and workload certificates signed by it.
#pragma once

#include <openssl/evp.h>
#include <openssl/x509.h>

#include <memory>
#include <string>

#include "types.h"

namespace culvert {

class TestAuthority {
 public:
  TestAuthority();
  ~TestAuthority();
  TestAuthority(const TestAuthority&) = delete;
  TestAuthority& operator=(const TestAuthority&) = delete;

  /** A fresh P-256 key and a certificate of an hour with `spiffe_id` as its URI SAN; the name is the id. */
  IdentityMaterial Issue(const std::string& spiffe_id);

 private:
  long serial_ = 1;
  EVP_PKEY* key_;
  X509* root_;
};

}  // namespace culvert
