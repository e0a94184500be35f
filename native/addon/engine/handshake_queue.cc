#include "handshake_queue.h"

#include <algorithm>

namespace culvert {

void HandshakeQueue::Enter(HandshakeNode& node, std::string network) {
  ++counts_[network];
  ++size_;
  node.network_ = std::move(network);
  nodes_.PushBack(&node);
}

void HandshakeQueue::Leave(HandshakeNode& node) {
  if (!node.linked()) return;
  node.Unlink();
  --size_;
  auto found = counts_.find(node.network_);
  if (--found->second == 0) counts_.erase(found);
}

HandshakeNode* HandshakeQueue::Victim() {
  int most = 0;
  for (const auto& [network, count] : counts_) most = std::max(most, count);
  for (HandshakeNode* node = nodes_.front(); node != nullptr; node = nodes_.next(node)) {
    if (counts_[node->network_] == most) return node;
  }
  return nullptr;
}

}  // namespace culvert
