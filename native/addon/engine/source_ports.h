// Source ports of the dials to a pod's application. Both legs of a plaintext connection meet on the pod's lo: if
// our dial had the 4-tuple of the captured connection, the kernel would give its answers to the other socket and
// the dial would hang. So the engine chooses the port, against this table.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_set>

#include "address.h"

namespace culvert {

class SourcePorts : public std::enable_shared_from_this<SourcePorts> {
 public:
  /** Holds a 4-tuple until it is destroyed. */
  class Claim {
   public:
    Claim() = default;
    Claim(Claim&& other) noexcept = default;
    Claim& operator=(Claim&& other) noexcept {
      Release();
      ports_ = std::move(other.ports_);
      key_ = std::move(other.key_);
      port_ = other.port_;
      return *this;
    }
    ~Claim() { Release(); }
    uint16_t port() const { return port_; }
    explicit operator bool() const { return ports_ != nullptr; }

   private:
    friend class SourcePorts;
    void Release();
    std::shared_ptr<SourcePorts> ports_;
    std::string key_;
    uint16_t port_ = 0;
  };

  /** Marks the 4-tuple of a connection that a client made. Not valid if it is already there. */
  Claim Occupy(const Address& source, const Address& to);
  /** The next free port for `source` towards `to`; its own port is ignored. Not valid if none was found. */
  Claim Choose(const Address& source, const Address& to);

 private:
  /** Of the ephemeral range: a lower port could be one that is excluded from capture. */
  static constexpr uint16_t kFirst = 32768;
  static constexpr int kAttempts = 64;

  Claim Insert(const Address& source, const Address& to);

  std::mutex mutex_;
  std::unordered_set<std::string> taken_;
  uint16_t next_ = 32768;
};

}  // namespace culvert
