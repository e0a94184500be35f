// The inbound handshakes of one thread, oldest first. When there are as many as there may be, one of them ends for the
// next: a stranger that is slow on purpose loses its place, and a good peer, which is done in milliseconds, does not.
#pragma once

#include <string>
#include <unordered_map>

#include "list.h"

namespace culvert {

class HandshakeNode : public ListNode {
 public:
  virtual ~HandshakeNode() = default;
  /** Its place is needed. It has left the queue when this returns. */
  virtual void Evict() = 0;

 private:
  friend class HandshakeQueue;
  std::string network_;
};

class HandshakeQueue {
 public:
  /** `network`: Address::Network of the peer. */
  void Enter(HandshakeNode& node, std::string network);
  /** Idempotent. */
  void Leave(HandshakeNode& node);
  size_t size() const { return size_; }
  /** The oldest of the network that has the most; null if there is none. */
  HandshakeNode* Victim();

 private:
  List<HandshakeNode> nodes_;
  std::unordered_map<std::string, int> counts_;
  size_t size_ = 0;
};

}  // namespace culvert
