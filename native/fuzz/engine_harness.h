// Two nodes, the applications on them, and everything that may happen to them in any order, as a script says: bytes,
// ends and resets, cut and delayed wires, decisions of every kind, faults of the kernel, renewals, removals, drains, time.
// At the end all is let finish, or cut short, and nothing may be left.
#pragma once

#include <deque>
#include <memory>
#include <string>

#include "engine_node.h"
#include "fake_kernel.h"

namespace culvert {

class EngineHarness {
 public:
  explicit EngineHarness(ByteSource& script);
  ~EngineHarness();
  void Run();

 private:
  static constexpr uint16_t kSharedPort = 19999;
  static constexpr uint8_t kFair = 77;
  static constexpr uint8_t kCutShort = 192;

  /** An application's end of a connection. Both ends write a pattern of the flow, so that every byte can be checked. */
  struct Application {
    Endpoint* end = nullptr;
    bool client = false;
    uint16_t port = 0;
    uint64_t written = 0;
    uint64_t read = 0;
    bool shut = false;
    /** It saw the other's end, or a reset. */
    bool ended = false;
    bool closed = false;
  };

  Options MakeOptions();
  void AddPods();
  void SetIdentities();
  /** k busy streams instead of a script's steps. */
  void RunFair();
  // What a script may do.
  void Step();
  void Connect();
  void ConnectRaw();
  void ActOn(Application& application);
  void Wire();
  void Break();
  void Manage(EngineNode& node);
  // What goes by itself.
  void Settle(int rounds);
  bool Exchange(size_t max);
  void AnswerDials(bool all);
  void Write(Application& application, size_t length);
  void Read(Application& application, size_t max);
  void CheckWhole(const Application& reader);
  void Advance();
  // The end.
  void Finish();
  void FinishApplications();
  bool Over();
  void CheckCounts();
  void Tell();

  Application* Choose();
  static char PatternByte(const Application& writer, uint64_t at);

  ByteSource& script_;
  FakeKernel kernel_;
  const Nanos began_;
  /** What kind of run it is; at the end of some the engines are stopped in the midst of it. */
  const uint8_t kind_;
  int netns_;
  std::unique_ptr<EngineNode> client_, server_;
  std::string client_pod_ = "client", server_pod_ = "server";
  uint16_t outbound_port_ = 0, hbone_port_ = 0, plaintext_port_ = 0;
  std::deque<Application> applications_;
  std::vector<Endpoint*> raw_;
  uint16_t next_port_ = 20000;
  /** Nothing but the applications' own doing has happened: what ends well must be whole, and all must end well. */
  bool undisturbed_ = true;
  bool answering_ = true;
  bool deciding_ = true;
};

}  // namespace culvert
