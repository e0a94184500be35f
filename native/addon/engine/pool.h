// Which tunnel carries a connection. One directory for all threads, asked once per connection; what is behind an
// entry belongs to the entry's thread.
#pragma once

#include <atomic>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "clock.h"
#include "identity.h"
#include "pod.h"
#include "types.h"

namespace culvert {

class Engine;
class OutboundTunnel;

/** A tunnel's place in the directory, from before it is dialled until it is gone. */
struct TunnelShare {
  int thread = 0;
  std::string key;
  std::shared_ptr<Pod> pod;
  std::shared_ptr<const Identity> identity;
  Address via;
  std::vector<std::string> expected;
  Nanos retire_at = 0;

  /** Streams that were promised, those that still wait included. */
  std::atomic<int> streams{0};
  std::atomic<int> limit{0};
  std::atomic<bool> accepting{true};
  std::atomic<bool> ready{false};
  /** The peer's connection window is nearly shut. */
  std::atomic<bool> congested{false};

  // The owner thread's alone.
  OutboundTunnel* tunnel = nullptr;
  bool dead = false;

  // The directory's alone.
  bool idle = false;
  std::list<std::shared_ptr<TunnelShare>>::iterator idle_at;
};

class Pool {
 public:
  explicit Pool(Engine& engine) : engine_(engine) {}

  /** Promises a stream on a tunnel that exists or is to be opened by its thread. Null: `reason` says why. */
  std::shared_ptr<TunnelShare> Pick(const std::shared_ptr<Pod>& pod, const TunnelDecision& decision, Reason* reason);
  /** Gives a promised stream back. */
  void Release(const std::shared_ptr<TunnelShare>& share);
  /** No new streams on it; it leaves the directory. */
  void Retire(const std::shared_ptr<TunnelShare>& share);
  /** It has no streams; the longest idle one may have to go. */
  void SetIdle(const std::shared_ptr<TunnelShare>& share, bool idle);

 private:
  /** Streams that may wait for one dial; more open a second tunnel. */
  static constexpr int kWaitingMax = 64;
  static constexpr int kCrowded = 50;
  static constexpr size_t kTunnelsPerKey = 8;
  /** A tunnel of a thread that is at work for longer than this gets no more if another thread has time. */
  static constexpr int kBusyPercent = 50;
  /** Tunnels that a pod's own thread may have more than the least loaded one, and still get the pod's next. */
  static constexpr int kTunnelsAhead = 8;

  std::shared_ptr<TunnelShare> Open(const std::shared_ptr<Pod>& pod, const TunnelDecision& decision,
                                    const std::string& key, Reason* reason);

  /** Where the next tunnel beside `siblings` is to live. */
  int ThreadFor(const Pod& pod, const std::vector<std::shared_ptr<TunnelShare>>& siblings, Nanos now) const;
  bool IsBusy(const TunnelShare& share, Nanos now) const;
  /** The least busy thread that has none of these; negative if all others have enough to do. */
  int QuietThread(const std::vector<std::shared_ptr<TunnelShare>>& siblings, Nanos now) const;

  Engine& engine_;
  std::mutex mutex_;
  std::unordered_map<std::string, std::vector<std::shared_ptr<TunnelShare>>> shares_;
  std::list<std::shared_ptr<TunnelShare>> idle_;
};

}  // namespace culvert
