// An engine that is turned by hand, and what TypeScript would be to it: takes its events, decides at once, later,
// twice or wrongly, and checks that each connection is told of as it should be.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "byte_source.h"
#include "engine.h"

namespace culvert {

class EngineNode {
 public:
  struct Known {
    EventKind kind;
    /** The port that the application asked for: it names the flow. */
    uint16_t port = 0;
    bool decided = false;
    bool connected = false;
    bool closed = false;
    Reason reason = Reason::kOk;
    uint64_t sent = 0;
    uint64_t received = 0;
  };
  /** Where captured connections go through a tunnel. */
  struct Route {
    uint16_t hbone = 0;
    std::string from, to;
  };

  EngineNode(ByteSource& script, const Options& options);
  ~EngineNode();

  Engine& engine() { return engine_; }
  void Turn(size_t loop) { engine_.loop(static_cast<int>(loop % engine_.threads())).Turn(); }
  /** Takes what events there are, and decides if `decide`. */
  void TakeEvents(bool decide);
  /** What `id` should be told, or, if the script says so, something else. */
  void Decide(ConnectionId id, bool as_it_should);
  void DecideHeld();
  ConnectionId AnyId();
  void Drain(int deadline_ms);
  bool AllClosed() const;
  void CheckEnd();

  Route route;
  bool plain = false;
  /** They go to an application of the pod `beside` the client's. */
  bool direct = false;
  std::string beside;
  /** Answers may be given again while it lasts, unless 0. */
  uint64_t epoch = 0;
  /** Captured connections are refused. */
  bool refusing = false;
  std::map<ConnectionId, Known> known;
  std::vector<ConnectionId> undecided;
  /** Drains that were asked for, and those that have ended. */
  int drains = 0;
  int drained = 0;

 private:
  uint8_t Usual(EventKind kind) const;
  void TakeOne(const uint8_t* record, bool decide);

  ByteSource& script_;
  Engine engine_;
};

}  // namespace culvert
