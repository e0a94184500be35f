// An engine as a node would run it: one thread that calls it, takes its events and decides.
#pragma once

#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "certificates.h"
#include "engine.h"

namespace culvert {

inline const std::string kClientId = "spiffe://cluster.local/ns/shop/sa/client";
inline const std::string kServerId = "spiffe://cluster.local/ns/shop/sa/server";

struct PodPorts {
  uint16_t outbound = 0;
  uint16_t hbone = 0;
};

/** Where every captured connection goes. */
struct Route {
  uint16_t hbone = 0;
  uint16_t application = 0;
  std::string expected = kServerId;
  /** A pod of this node that it is joined with instead. */
  std::string beside = {};
};

class TestNode {
 public:
  explicit TestNode(TestAuthority& authority);
  ~TestNode();

  /** Runs `what` on the thread that calls the engine, and waits for it. */
  void Call(std::function<void(Engine&)> what);
  PodPorts AddPod(const std::string& id, const std::string& identity);
  /** Gives `identity` a new key and certificate. */
  void Renew(const std::string& identity);
  void SetRoute(const Route& route);
  /** From now on each answer may be given again while `epoch` lasts, and the engine's epoch is that. */
  void SetEpoch(uint64_t epoch);
  /** From now on CONNECT is answered 401. */
  void DenyRequests();
  /** Closes everything and joins the threads. Idempotent. */
  void Stop();

  size_t connected();
  /** Connections that were announced, and those that have ended. */
  size_t announced();
  size_t closed();
  size_t closed(Reason reason);
  bool drained();
  /** Throws unless every connection that was announced has ended exactly once. */
  void CheckAllEnded();

 private:
  void Main();
  void Take(const std::vector<uint8_t>& batch);
  void Decide(uint8_t kind, ConnectionId id, const std::string& authority);

  TestAuthority& authority_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool woken_ = false;
  bool stop_ = false;
  std::vector<std::function<void()>> calls_;
  Route route_;
  bool deny_ = false;
  uint64_t epoch_ = 0;
  size_t connected_ = 0;
  bool drained_ = false;
  std::multiset<ConnectionId> announced_;
  std::multiset<ConnectionId> closed_;
  std::map<Reason, size_t> reasons_;
  Engine engine_;
  std::thread thread_;
};

}  // namespace culvert
