#include "source_ports.h"

namespace culvert {

static std::string KeyOf(const Address& source, const Address& to) {
  std::string key;
  key.reserve(36);
  key.append(reinterpret_cast<const char*>(source.bytes), source.family == AF_INET ? 4 : 16);
  key.append(reinterpret_cast<const char*>(&source.port), 2);
  key.append(reinterpret_cast<const char*>(to.bytes), to.family == AF_INET ? 4 : 16);
  key.append(reinterpret_cast<const char*>(&to.port), 2);
  return key;
}

void SourcePorts::Claim::Release() {
  if (ports_ == nullptr) return;
  {
    std::lock_guard<std::mutex> lock(ports_->mutex_);
    ports_->taken_.erase(key_);
  }
  ports_.reset();
}

SourcePorts::Claim SourcePorts::Insert(const Address& source, const Address& to) {
  Claim claim;
  std::string key = KeyOf(source, to);
  if (!taken_.insert(key).second) return claim;
  claim.ports_ = shared_from_this();
  claim.key_ = std::move(key);
  claim.port_ = source.port;
  return claim;
}

SourcePorts::Claim SourcePorts::Occupy(const Address& source, const Address& to) {
  std::lock_guard<std::mutex> lock(mutex_);
  return Insert(source, to);
}

SourcePorts::Claim SourcePorts::Choose(const Address& source, const Address& to) {
  std::lock_guard<std::mutex> lock(mutex_);
  Address candidate = source;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    candidate.port = next_;
    next_ = next_ == UINT16_MAX ? kFirst : next_ + 1;
    Claim claim = Insert(candidate, to);
    if (claim) return claim;
  }
  return {};
}

}  // namespace culvert
