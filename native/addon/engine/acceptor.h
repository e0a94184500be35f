// Takes connections off one listener of a pod. It pauses, and the kernel's backlog holds them, while a bound is
// reached; it never accepts what nobody can decide.
#pragma once

#include <memory>

#include "loop.h"
#include "pod.h"

namespace culvert {

class Acceptor : public Mortal, public Pollable, public Runnable {
 public:
  enum class Kind { kOutbound, kPlaintext, kHbone };

  Acceptor(Loop& loop, std::shared_ptr<Pod> pod, Kind kind, int listener);
  ~Acceptor() override;

  void OnReady(uint32_t events) override;
  void Run() override;
  /** Leaves epoll for good. */
  void Stop();

 private:
  static constexpr int kAcceptsPerTurn = 64;
  static constexpr int kPauseMs = 20;
  /** Without descriptors or memory there is nothing to be had soon. */
  static constexpr int kExhaustedPauseMs = 100;

  bool MustPause();
  void Pause(int ms);
  void Resume();
  void Capture(Fd fd, const Address& client);
  void AcceptTunnel(Fd fd, const Address& peer);

  Loop& loop_;
  /** The pod owns us: not owned back. */
  Pod* pod_;
  std::weak_ptr<Pod> weak_pod_;
  Kind kind_;
  int listener_;
  bool stopped_ = false;
  Timer resume_;
};

}  // namespace culvert
