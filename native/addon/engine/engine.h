// The engine: its threads, and what they share. The only class that a caller sees; its public methods may be called
// from one thread outside the engine.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "connection_table.h"
#include "counters.h"
#include "event_queue.h"
#include "exhaustion.h"
#include "identity.h"
#include "loop.h"
#include "memory_budget.h"
#include "pod.h"
#include "pool.h"
#include "source_limits.h"
#include "types.h"

namespace culvert {

class Connection;

class Engine {
 public:
  /** `wake`: see EventQueue. */
  Engine(Options options, std::function<void()> wake);
  ~Engine();

  /** 0, or the errno of what a thread could not be given; nothing runs then. */
  int Start();
  /** Instead of Start, for tests: no threads, the caller turns the loops. */
  void Begin();
  /** Closes everything, joins the threads, reports what was open. Idempotent. */
  void Stop();
  bool stopped() const { return stopped_; }

  /**
   * 0 and the listeners' numbers, or an errno: ESHUTDOWN once a drain has begun, EINVAL if one of `inherited` (three
   * listeners of an earlier process) does not fit. The numbers stay the engine's; what is inherited is copied.
   */
  int AddPod(const std::string& id, int netns, const std::string& identity, bool ipv6, int listeners[3],
             const int* inherited = nullptr);
  void RemovePod(const std::string& id, int drain_ms);
  bool SetIdentity(const IdentityMaterial& material, std::string* error);
  void RemoveIdentity(const std::string& name);

  // False: the owner's queue is full, say it again later.
  /** To be called before the decision about the connection itself. */
  bool RememberRoute(ConnectionId id, ReusableRoute route);
  bool DecideTunnel(ConnectionId id, TunnelDecision decision);
  bool DecidePlain(ConnectionId id, const Address& to);
  bool DecideDeliver(ConnectionId id, DeliverDecision decision);
  /** To the application of another pod of this engine; refused if that pod is not there or is on its way out. */
  bool DecideDirect(ConnectionId id, const std::string& pod, DeliverDecision decision);
  bool DecideRefuse(ConnectionId id, Reason reason, int status);
  void Close(ConnectionId id, Reason reason);
  /** From now on no decision that was made in another epoch is given again. */
  void SetEpoch(uint64_t epoch);
  /**
   * Takes no pod any more. Reports `drained` when nothing is open; what is left at the deadline is closed, whatever it
   * belongs to. Again: an earlier deadline counts.
   */
  void Drain(int deadline_ms);
  bool LiveBytes(ConnectionId id, uint64_t* sent, uint64_t* received);

  // For the engine's own parts.
  Loop& loop(int index) { return *loops_[static_cast<size_t>(index)]; }
  size_t threads() const { return loops_.size(); }
  /** The thread with the fewest tunnels, another than `avoid` if there is one. */
  Loop& LeastLoaded(int avoid);
  TunnelId NextTunnelId() { return next_tunnel_.fetch_add(1, std::memory_order_relaxed); }
  void EverySecond();
  /** `error` of having made or accepted `fd`. A descriptor of the reserve is reset and closed: EMFILE. Counts both. */
  int Admit(Fd* fd, int error);
  const Options& options() const { return options_; }
  EventQueue& events() { return events_; }
  ConnectionTable& table() { return table_; }
  Counters& counters() { return counters_; }
  const Descriptors& descriptors() const { return descriptors_; }
  MemoryBudget& budget() { return budget_; }
  IdentityStore& identities() { return identities_; }
  Pool& pool() { return pool_; }
  SourceLimits& sources() { return sources_; }
  RouteBudget& route_budget() { return route_budget_; }
  uint64_t epoch() const { return epoch_.load(std::memory_order_acquire); }

 private:
  using Command = std::function<void(Connection&)>;

  bool Tell(ConnectionId id, Command command);
  void Execute(Loop& loop, ConnectionId id, Command command);
  void EndPod(const std::shared_ptr<Pod>& pod, int drain_ms);
  void RetireTunnels(const std::string& identity, uint64_t before_version);
  void CheckDrained(Loop& loop);
  void CloseAll();

  const Options options_;
  EventQueue events_;
  ConnectionTable table_;
  Counters counters_;
  MemoryBudget budget_;
  IdentityStore identities_;
  SourceLimits sources_;
  Descriptors descriptors_;
  RouteBudget route_budget_;
  std::atomic<uint64_t> epoch_{0};
  Pool pool_;
  std::vector<std::unique_ptr<Loop>> loops_;
  std::map<std::string, std::shared_ptr<Pod>> pods_;
  int next_thread_ = 0;
  std::atomic<TunnelId> next_tunnel_{1};
  bool started_ = false;
  bool stopped_ = false;
  bool draining_ = false;
  /** Loop 0's: when what is left is closed; 0 while nobody waits for the end of a drain. */
  Nanos drain_deadline_ = 0;
  /** Loop 0's: what `overload` has already told. */
  std::vector<uint64_t> told_;
};

}  // namespace culvert
