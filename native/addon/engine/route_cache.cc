#include "route_cache.h"

#include <algorithm>

namespace culvert {

size_t ReusableRoute::Draw(uint32_t random) const {
  uint32_t at = static_cast<uint32_t>(static_cast<uint64_t>(random) * choices.back().below >> 32);
  auto found = std::upper_bound(choices.begin(), choices.end(), at,
                                [](uint32_t value, const Choice& choice) { return value < choice.below; });
  return found == choices.end() ? choices.size() - 1 : static_cast<size_t>(found - choices.begin());
}

bool RouteBudget::Take(size_t choices) {
  auto wanted = static_cast<int64_t>(choices);
  if (held_.fetch_add(wanted, std::memory_order_relaxed) + wanted <= kChoicesMax) return true;
  Give(choices);
  return false;
}

size_t RouteCache::Hash::operator()(const Address& address) const {
  uint64_t hash = address.port * 0x9e3779b97f4a7c15u + address.family;
  for (uint8_t byte : address.bytes) hash = (hash ^ byte) * 0x100000001b3u;
  return hash;
}

std::shared_ptr<const ReusableRoute> RouteCache::Find(const Address& destination, uint64_t epoch) const {
  auto found = routes_.find(destination);
  return found != routes_.end() && found->second->reuse.epoch == epoch ? found->second : nullptr;
}

bool RouteCache::Remember(const Address& destination, std::shared_ptr<const ReusableRoute> route, RouteBudget& budget) {
  budget_ = &budget;
  Forget(destination);
  if (routes_.size() >= kRoutesMax || !budget.Take(route->choices.size())) return false;
  routes_.emplace(destination, std::move(route));
  return true;
}

void RouteCache::Forget(const Address& destination) {
  auto found = routes_.find(destination);
  if (found == routes_.end()) return;
  budget_->Give(found->second->choices.size());
  routes_.erase(found);
}

void RouteCache::Clear() {
  for (auto& [destination, route] : routes_) budget_->Give(route->choices.size());
  routes_.clear();
}

}  // namespace culvert
