#include "pool.h"

#include <algorithm>
#include <tuple>

#include "engine.h"
#include "outbound_tunnel.h"

namespace culvert {

/** Never shared between pods, even with equal identity. The address of a Pod names one life of a pod. */
static std::string KeyOf(const Pod& pod, const TunnelDecision& decision) {
  std::vector<std::string> expected = decision.expected_identities;
  std::sort(expected.begin(), expected.end());
  std::string key = pod.id;
  key += '\0' + std::to_string(reinterpret_cast<uintptr_t>(&pod));
  key += '\0' + decision.tls_identity;
  key += '\0' + decision.via.Host() + std::to_string(decision.via.port);
  for (const std::string& id : expected) key += '\0' + id;
  return key;
}

std::shared_ptr<TunnelShare> Pool::Pick(const std::shared_ptr<Pod>& pod, const TunnelDecision& decision,
                                        Reason* reason) {
  std::string key = KeyOf(*pod, decision);
  Nanos now = Now();
  std::lock_guard<std::mutex> lock(mutex_);
  std::vector<std::shared_ptr<TunnelShare>>& candidates = shares_[key];
  std::shared_ptr<TunnelShare> best;
  bool all_crowded = true;
  bool all_busy = true;
  for (const auto& share : candidates) {
    if (!share->accepting || now >= share->retire_at || share->identity->expired()) continue;
    int limit = share->ready ? share->limit.load() : std::min(share->limit.load(), kWaitingMax);
    if (share->streams >= limit) continue;
    bool crowded = share->congested || share->streams > kCrowded;
    all_crowded = all_crowded && crowded;
    all_busy = all_busy && (crowded || IsBusy(*share, now));
    auto rank = [&](const TunnelShare& of) {
      return std::make_tuple(of.congested.load(), IsBusy(of, now), of.streams.load());
    };
    if (best == nullptr || rank(*share) < rank(*best)) best = share;
  }
  size_t several = std::min<size_t>(engine_.threads(), kTunnelsPerKey);
  bool grow = candidates.size() < several && (all_crowded || (all_busy && QuietThread(candidates, now) >= 0));
  if (best == nullptr || grow) {
    auto opened = Open(pod, decision, key, reason);
    if (opened != nullptr) best = opened;
  }
  if (best == nullptr) {
    if (candidates.empty()) shares_.erase(key);
    return nullptr;
  }
  ++best->streams;
  if (best->idle) {
    idle_.erase(best->idle_at);
    best->idle = false;
  }
  return best;
}

bool Pool::IsBusy(const TunnelShare& share, Nanos now) const {
  return engine_.loop(share.thread).busy().Percent(now) > kBusyPercent;
}

int Pool::ThreadFor(const Pod& pod, const std::vector<std::shared_ptr<TunnelShare>>& siblings, Nanos now) const {
  Loop& least = engine_.LeastLoaded(siblings.empty() ? -1 : siblings.back()->thread);
  if (!siblings.empty()) {
    int quiet = QuietThread(siblings, now);
    return quiet >= 0 ? quiet : least.index();
  }
  // Where the pod's connections are accepted they need no other thread to wake up for them.
  Loop& own = engine_.loop(pod.thread);
  bool has_time = own.busy().Percent(now) <= kBusyPercent;
  return has_time && own.tunnel_count <= least.tunnel_count + kTunnelsAhead ? own.index() : least.index();
}

int Pool::QuietThread(const std::vector<std::shared_ptr<TunnelShare>>& siblings, Nanos now) const {
  int quiet = -1;
  int least = kBusyPercent;
  for (int i = 0; i < static_cast<int>(engine_.threads()); ++i) {
    bool taken = std::any_of(siblings.begin(), siblings.end(), [i](const auto& share) { return share->thread == i; });
    int percent = engine_.loop(i).busy().Percent(now);
    if (taken || percent >= least) continue;
    quiet = i;
    least = percent;
  }
  return quiet;
}

std::shared_ptr<TunnelShare> Pool::Open(const std::shared_ptr<Pod>& pod, const TunnelDecision& decision,
                                        const std::string& key, Reason* reason) {
  auto identity = engine_.identities().Find(decision.tls_identity);
  // An expired certificate would only be refused by the peer, with a worse reason.
  if (identity == nullptr || identity->expired() || decision.expected_identities.empty()) {
    if (identity == nullptr) engine_.counters().Add(Counter::kIdentityMissing);
    *reason = Reason::kIdentityError;
    return nullptr;
  }
  auto& siblings = shares_[key];
  auto share = std::make_shared<TunnelShare>();
  share->thread = ThreadFor(*pod, siblings, Now());
  share->key = key;
  share->pod = pod;
  share->via = decision.via;
  share->expected = decision.expected_identities;
  share->limit = engine_.options().limits.streams_per_tunnel;
  share->retire_at = Now() + static_cast<Nanos>(identity->half_life()) * kSecond;
  share->identity = std::move(identity);
  engine_.loop(share->thread).tunnel_count.fetch_add(1, std::memory_order_relaxed);
  siblings.push_back(share);
  return share;
}

void Pool::Release(const std::shared_ptr<TunnelShare>& share) { --share->streams; }

void Pool::Retire(const std::shared_ptr<TunnelShare>& share) {
  std::lock_guard<std::mutex> lock(mutex_);
  share->accepting = false;
  if (share->idle) {
    idle_.erase(share->idle_at);
    share->idle = false;
  }
  auto found = shares_.find(share->key);
  if (found == shares_.end()) return;
  auto& list = found->second;
  list.erase(std::remove(list.begin(), list.end(), share), list.end());
  if (list.empty()) shares_.erase(found);
}

void Pool::SetIdle(const std::shared_ptr<TunnelShare>& share, bool idle) {
  std::shared_ptr<TunnelShare> oldest;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    if (share->idle == idle || (idle && (share->streams > 0 || !share->accepting))) return;
    share->idle = idle;
    if (!idle) {
      idle_.erase(share->idle_at);
      return;
    }
    share->idle_at = idle_.insert(idle_.end(), share);
    if (idle_.size() > static_cast<size_t>(engine_.options().limits.idle_tunnels)) oldest = idle_.front();
  }
  if (oldest == nullptr) return;
  Retire(oldest);
  engine_.loop(oldest->thread).PostAlways(Task([oldest](Loop&) {
    if (oldest->tunnel != nullptr) oldest->tunnel->Retire();
  }));
}

}  // namespace culvert
