// What a name stands for in TLS: certificate, key, roots, as two SSL_CTX that are frozen once made. A renewal makes
// a new Identity; running tunnels keep theirs by reference.
#pragma once

#include <openssl/ssl.h>

#include <cstdint>
#include <ctime>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "types.h"

namespace culvert {

class Identity {
 public:
  /** Null and the reason in `error` if the material does not fit together. */
  static std::shared_ptr<const Identity> Make(const IdentityMaterial& material, const std::string& groups,
                                              uint64_t version, std::string* error);
  ~Identity();
  Identity(const Identity&) = delete;
  Identity& operator=(const Identity&) = delete;

  SSL_CTX* client() const { return client_; }
  SSL_CTX* server() const { return server_; }
  const std::string& name() const { return name_; }
  const std::vector<std::string>& trust_domains() const { return trust_domains_; }
  /** Counts the replacements of all names: tunnels of an older version retire. */
  uint64_t version() const { return version_; }
  time_t not_after() const { return not_after_; }
  /** Half of the certificate's life: a tunnel older than that retires. */
  time_t half_life() const { return (not_after_ - not_before_) / 2; }
  bool expired() const { return time(nullptr) >= not_after_; }

 private:
  Identity() = default;

  std::string name_;
  std::vector<std::string> trust_domains_;
  uint64_t version_ = 0;
  SSL_CTX* client_ = nullptr;
  SSL_CTX* server_ = nullptr;
  time_t not_before_ = 0;
  time_t not_after_ = 0;
};

class IdentityStore {
 public:
  explicit IdentityStore(std::string groups) : groups_(std::move(groups)) {}

  /** False and the reason in `error` if the material is unusable; what was there stays. */
  bool Set(const IdentityMaterial& material, std::string* error);
  void Remove(const std::string& name);
  std::shared_ptr<const Identity> Find(const std::string& name);

 private:
  const std::string groups_;
  std::mutex mutex_;
  uint64_t version_ = 0;
  std::unordered_map<std::string, std::shared_ptr<const Identity>> identities_;
};

}  // namespace culvert
