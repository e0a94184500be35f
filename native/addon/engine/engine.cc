#include "engine.h"

#include <fcntl.h>
#include <sched.h>

#include <cerrno>
#include <cstdio>
#include <system_error>
#include <thread>

#include "acceptor.h"
#include "connection.h"
#include "sockets.h"
#include "tunnel.h"

namespace culvert {

/** How long after its deadline a drain waits for the threads to close what is left. */
static constexpr Nanos kCloseGrace = 200 * kMillisecond;

/** CPUs by affinity and by the cgroup's quota, at least 1. */
static int CpusAllowed() {
  cpu_set_t set;
  int cpus = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
  if (FILE* file = fopen("/sys/fs/cgroup/cpu.max", "re")) {
    long quota = 0;
    long period = 0;
    if (fscanf(file, "%ld %ld", &quota, &period) == 2 && quota > 0 && period > 0) {
      int allowed = static_cast<int>((quota + period - 1) / period);
      if (allowed < cpus) cpus = allowed;
    }
    fclose(file);
  }
  return cpus < 1 ? 1 : cpus;
}

Engine::Engine(Options options, std::function<void()> wake)
    : options_(std::move(options)),
      events_(std::move(wake)),
      budget_(options_.limits.buffer_bytes),
      identities_(options_.groups),
      descriptors_(options_.limits.reserved_descriptors),
      pool_(*this),
      told_(static_cast<size_t>(Counter::kLastBound)) {
  int threads = options_.threads > 0 ? options_.threads : std::max(2, CpusAllowed() / 4);
  for (int i = 0; i < threads; ++i) loops_.push_back(std::make_unique<Loop>(*this, i));
}

Engine::~Engine() { Stop(); }

int Engine::Start() {
  started_ = true;
  for (auto& loop : loops_) {
    int error = loop->Start();
    if (error == 0) continue;
    Stop();
    return error;
  }
  return 0;
}

int Engine::Admit(Fd* fd, int error) {
  if (error == 0 && !descriptors_.ForConnections(fd->get())) {
    ResetOnClose(fd->get());
    fd->Reset();
    error = EMFILE;
  }
  if (IsExhausted(error)) counters_.Add(Counter::kDescriptors);
  return error;
}

void Engine::Begin() {
  started_ = true;
  for (auto& loop : loops_) loop->Begin();
}

void Engine::Stop() {
  if (stopped_ || !started_) return;
  stopped_ = true;
  for (auto& loop : loops_) loop->RequestStop();
  for (auto& loop : loops_) loop->Join();
  pods_.clear();
  // Connections that were on their way between two threads.
  for (ConnectionId id : table_.Live()) {
    EventRecord event(EventKind::kClosed, id, Reason::kClosedByRequest);
    ConnectionTable::Slot* slot = table_.Find(id);
    event.F64(static_cast<double>(slot->sent.load())).F64(static_cast<double>(slot->received.load()));
    event.F64(0).U8(static_cast<uint8_t>(EndedBy::kEngine)).U8(0);
    table_.Release(id);
    events_.Report(std::move(event));
  }
}

Loop& Engine::LeastLoaded(int avoid) {
  Loop* best = nullptr;
  for (auto& loop : loops_) {
    if (loop->index() == avoid && loops_.size() > 1) continue;
    if (best == nullptr || loop->tunnel_count.load() < best->tunnel_count.load()) best = loop.get();
  }
  return *best;
}

int Engine::AddPod(const std::string& id, int netns, const std::string& identity, bool ipv6, int listeners[3],
                   const int* inherited) {
  if (draining_) return ESHUTDOWN;
  auto found = pods_.find(id);
  std::shared_ptr<Pod> pod = found == pods_.end() ? std::make_shared<Pod>() : found->second;
  if (found == pods_.end()) {
    pod->id = id;
    pod->tls_identity = identity;
    pod->netns.Reset(fcntl(netns, F_DUPFD_CLOEXEC, 0));
    if (!pod->netns) return errno;
    int error = 0;
    // On a thread of its own: the caller's namespace is never touched, whatever fails.
    try {
      std::thread([&] {
        Fd own = OpenOwnNetns();
        if (!own) {
          error = errno;
          return;
        }
        NetnsScope scope(pod->netns.get(), own.get());
        error = scope.error();
        for (Fd* fd : {&pod->outbound, &pod->plaintext, &pod->hbone}) {
          if (error != 0) break;
          error = inherited == nullptr ? Listen(ipv6, options_.mark, fd)
                                       : InheritListener(*inherited++, ipv6, options_.mark, fd);
        }
      }).join();
    } catch (const std::system_error& failed) {
      return failed.code().value();
    }
    if (error != 0) return error;
    // Who dials out is the pod's own application.
    ExpectNoLoss(pod->outbound.get());
    pod->outbound_number = pod->outbound.get();
    pod->plaintext_number = pod->plaintext.get();
    pod->hbone_number = pod->hbone.get();
    pod->listener_ports[0] = Address::LocalOf(pod->outbound.get()).port;
    pod->listener_ports[1] = Address::LocalOf(pod->plaintext.get()).port;
    pod->listener_ports[2] = Address::LocalOf(pod->hbone.get()).port;
    pod->thread = next_thread_++ % static_cast<int>(loops_.size());
    pods_[id] = pod;
    loop(pod->thread).PostAlways(Task([pod](Loop& loop) {
      if (pod->removed) return;
      pod->acceptors[0] = std::make_unique<Acceptor>(loop, pod, Acceptor::Kind::kOutbound, pod->outbound.get());
      pod->acceptors[1] = std::make_unique<Acceptor>(loop, pod, Acceptor::Kind::kPlaintext, pod->plaintext.get());
      pod->acceptors[2] = std::make_unique<Acceptor>(loop, pod, Acceptor::Kind::kHbone, pod->hbone.get());
    }));
  }
  listeners[0] = pod->outbound_number;
  listeners[1] = pod->plaintext_number;
  listeners[2] = pod->hbone_number;
  return 0;
}

void Engine::RemovePod(const std::string& id, int drain_ms) {
  auto found = pods_.find(id);
  if (found == pods_.end()) return;
  std::shared_ptr<Pod> pod = found->second;
  pods_.erase(found);
  EndPod(pod, drain_ms);
}

void Engine::EndPod(const std::shared_ptr<Pod>& pod, int drain_ms) {
  loop(pod->thread).PostAlways(Task([pod](Loop& loop) {
    for (auto& acceptor : pod->acceptors) {
      if (acceptor == nullptr) continue;
      acceptor->Stop();
      loop.Bury(std::move(acceptor));
    }
    pod->outbound.Reset();
    pod->plaintext.Reset();
    pod->hbone.Reset();
  }));
  for (auto& each : loops_) {
    each->PostAlways(Task([pod, drain_ms](Loop& loop) {
      pod->removed = true;
      if (loop.index() == pod->thread) {
        pod->routes.Clear();
        pod->routes.Unlink();
      }
      for (auto* node = loop.tunnels().front(); node != nullptr; node = loop.tunnels().next(node)) {
        auto* tunnel = static_cast<Tunnel*>(node);
        if (tunnel->pod() == pod) tunnel->Retire();
      }
      loop.After(drain_ms, [pod, &loop] {
        std::vector<Connection*> connections;
        for (auto* node = loop.connections().front(); node != nullptr; node = loop.connections().next(node)) {
          auto* connection = static_cast<Connection*>(node);
          connections.push_back(connection);
        }
        // All stay valid until the end of the turn.
        for (Connection* connection : connections) connection->PodEnded(pod);
        std::vector<Tunnel*> tunnels;
        for (auto* node = loop.tunnels().front(); node != nullptr; node = loop.tunnels().next(node)) {
          auto* tunnel = static_cast<Tunnel*>(node);
          if (tunnel->pod() == pod) tunnels.push_back(tunnel);
        }
        for (Tunnel* tunnel : tunnels) tunnel->Abort(Reason::kDrained, 0, "");
      });
    }));
  }
}

bool Engine::SetIdentity(const IdentityMaterial& material, std::string* error) {
  if (!identities_.Set(material, error)) return false;
  RetireTunnels(material.name, identities_.Find(material.name)->version());
  return true;
}

void Engine::RemoveIdentity(const std::string& name) {
  identities_.Remove(name);
  RetireTunnels(name, UINT64_MAX);
}

void Engine::RetireTunnels(const std::string& identity, uint64_t before_version) {
  for (auto& each : loops_) {
    each->PostAlways(Task([identity, before_version](Loop& loop) {
      for (auto* node = loop.tunnels().front(); node != nullptr; node = loop.tunnels().next(node)) {
        auto* tunnel = static_cast<Tunnel*>(node);
        const auto& used = tunnel->identity();
        if (used != nullptr && used->name() == identity && used->version() < before_version) tunnel->Retire();
      }
    }));
  }
}

bool Engine::Tell(ConnectionId id, Command command) {
  ConnectionTable::Slot* slot = table_.Find(id);
  if (slot == nullptr || stopped_) return true;
  Task task([this, id, command = std::move(command)](Loop& loop) mutable { Execute(loop, id, std::move(command)); });
  return loop(slot->owner.load(std::memory_order_acquire)).Post(task);
}

void Engine::Execute(Loop& at, ConnectionId id, Command command) {
  ConnectionTable::Slot* slot = table_.Find(id);
  if (slot == nullptr) return;
  int owner = slot->owner.load(std::memory_order_acquire);
  if (owner == at.index() && slot->connection != nullptr) return command(*slot->connection);
  // It moves: the command follows it, and waits where it will arrive.
  loop(owner).PostAlways(Task([this, id, command = std::move(command)](Loop& loop) mutable {
    Execute(loop, id, std::move(command));
  }));
}

bool Engine::RememberRoute(ConnectionId id, ReusableRoute route) {
  auto shared = std::make_shared<const ReusableRoute>(std::move(route));
  return Tell(id, [shared = std::move(shared)](Connection& connection) { connection.Remember(shared); });
}

bool Engine::DecideTunnel(ConnectionId id, TunnelDecision decision) {
  auto shared = std::make_shared<const TunnelDecision>(std::move(decision));
  return Tell(id, [shared = std::move(shared)](Connection& connection) { connection.DecideTunnel(shared); });
}

bool Engine::DecidePlain(ConnectionId id, const Address& to) {
  return Tell(id, [to](Connection& connection) { connection.DecidePlain(to); });
}

bool Engine::DecideDeliver(ConnectionId id, DeliverDecision decision) {
  auto shared = std::make_shared<const DeliverDecision>(std::move(decision));
  return Tell(id, [shared = std::move(shared)](Connection& connection) { connection.DecideDeliver(shared); });
}

bool Engine::DecideDirect(ConnectionId id, const std::string& pod, DeliverDecision decision) {
  // The map is the caller's thread's; what the connection's thread gets is the pod itself.
  auto found = pods_.find(pod);
  if (found == pods_.end()) return DecideRefuse(id, Reason::kConnectFailed, ECONNREFUSED);
  return Tell(id, [target = found->second, decision = std::move(decision)](Connection& connection) {
    connection.DecideDirect(target, decision);
  });
}

bool Engine::DecideRefuse(ConnectionId id, Reason reason, int status) {
  return Tell(id, [=](Connection& connection) { connection.DecideRefuse(reason, status); });
}

void Engine::Close(ConnectionId id, Reason reason) {
  ConnectionTable::Slot* slot = table_.Find(id);
  if (slot == nullptr || stopped_) return;
  Command command = [reason](Connection& connection) { connection.Terminate(reason, 0, EndedBy::kEngine); };
  loop(slot->owner.load(std::memory_order_acquire))
      .PostAlways(Task([this, id, command = std::move(command)](Loop& loop) mutable {
        Execute(loop, id, std::move(command));
      }));
}

void Engine::SetEpoch(uint64_t epoch) {
  epoch_.store(epoch, std::memory_order_release);
  if (stopped_ || route_budget_.held() == 0) return;
  for (auto& each : loops_) {
    each->PostAlways(Task([](Loop& loop) {
      while (RouteCache* cache = loop.route_caches().PopFront()) cache->Clear();
    }));
  }
}

void Engine::Drain(int deadline_ms) {
  draining_ = true;
  for (auto& [id, pod] : pods_) EndPod(pod, deadline_ms);
  pods_.clear();
  loop(0).PostAlways(Task([this, deadline_ms](Loop& loop) {
    Nanos deadline = loop.now() + static_cast<Nanos>(deadline_ms < 0 ? 0 : deadline_ms) * kMillisecond;
    bool waiting = drain_deadline_ != 0;
    if (!waiting || deadline < drain_deadline_) drain_deadline_ = deadline;
    if (!waiting) CheckDrained(loop);
  }));
}

void Engine::CheckDrained(Loop& loop) {
  bool empty = table_.size() == 0 && counters_.tunnels_inbound == 0 && counters_.tunnels_outbound == 0;
  if (empty || loop.now() >= drain_deadline_ + kCloseGrace) {
    drain_deadline_ = 0;
    return events_.Report(EventRecord(EventKind::kDrained, 0));
  }
  // Again and again: a connection may have been on its way between two threads. And everything, also what a pod has
  // left that was removed before with more time than the drain has.
  if (loop.now() >= drain_deadline_) CloseAll();
  loop.After(20, [this, &loop] { CheckDrained(loop); });
}

void Engine::CloseAll() {
  for (auto& each : loops_) {
    each->PostAlways(Task([](Loop& loop) { loop.CloseConnections(Reason::kDrained); }));
  }
}

bool Engine::LiveBytes(ConnectionId id, uint64_t* sent, uint64_t* received) {
  ConnectionTable::Slot* slot = table_.Find(id);
  if (slot == nullptr) return false;
  *sent = slot->sent.load(std::memory_order_relaxed);
  *received = slot->received.load(std::memory_order_relaxed);
  // The slot may have gone to another connection meanwhile.
  return table_.Find(id) != nullptr;
}

void Engine::EverySecond() {
  descriptors_.Refresh();
  for (size_t i = 0; i < told_.size(); ++i) {
    auto bound = static_cast<Counter>(i);
    uint64_t count = counters_.Get(bound);
    if (count == told_[i]) continue;
    EventRecord event(EventKind::kOverload, 0);
    event.U64(count - told_[i]).Text(CounterName(bound));
    if (events_.Announce(std::move(event))) told_[i] = count;
  }
}

}  // namespace culvert
