// One engine thread: an epoll, a timer wheel, scratch buffers, and everything that lives on it. Nothing else
// touches these objects; other threads post tasks.
//
// A turn: tasks -> timers -> epoll events set flags -> run queue, a bounded slice each -> flush each dirty tunnel
// once -> free the dead.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "busy_share.h"
#include "event_record.h"
#include "fd.h"
#include "handshake_queue.h"
#include "list.h"
#include "netns.h"
#include "output_buffer.h"
#include "pipe_pool.h"
#include "random_bytes.h"
#include "route_cache.h"
#include "task.h"
#include "timer_wheel.h"
#include "types.h"

namespace culvert {

class Engine;

/** Something with descriptors in epoll. */
class Pollable {
 public:
  virtual ~Pollable() = default;
  /** Only sets flags and schedules. */
  virtual void OnReady(uint32_t events) = 0;
};

/** Something that gets a slice per turn while it is scheduled. */
class Runnable : public ListNode {
 public:
  virtual ~Runnable() = default;
  virtual void Run() = 0;
};

/** Something that gathers output during the turn and sends it once at its end. */
class Flushable : public ListNode {
 public:
  virtual ~Flushable() = default;
  virtual void Flush() = 0;
};

class RegistryNode : public ListNode {};

/** Base of what is freed at the end of the turn, never inside one of its own callbacks. */
class Mortal {
 public:
  virtual ~Mortal() = default;
};

class Loop {
 public:
  static constexpr size_t kScratchBytes = 16 * 16384;
  static constexpr size_t kCommandsMax = 4096;
  static constexpr int kHandshakeStepsPerTurn = 8;

  Loop(Engine& engine, int index);
  ~Loop();

  /** 0, or an errno: there is no thread then. */
  int Start();
  /** Instead of Start, for tests: the calling thread turns the loop itself, and Join goes on until it has stopped. */
  int Begin();
  void Turn();
  /** Asks the thread to close everything it has and end; then Join. */
  void RequestStop();
  void Join();

  /** From any thread. False when the queue is full: the caller keeps what it wanted to say. */
  bool Post(Task& task);
  /** Between engine threads, and for what must not be refused; bounded by the number of connections. */
  void PostAlways(Task task);

  // The rest is for the thread itself.
  /** 0, or the errno of epoll_ctl: the kernel has no memory for one more, or the user no more watches. */
  int Watch(int fd, Pollable* target, uint32_t events);
  int Rewatch(int fd, Pollable* target, uint32_t events);
  void Unwatch(int fd);
  void Schedule(Runnable* item) {
    if (!item->linked()) run_queue_.PushBack(item);
  }
  void MarkDirty(Flushable* item) {
    if (!item->linked()) dirty_.PushBack(item);
  }
  void Arm(Timer& timer, int ms) { wheel_.Arm(timer, ms, now_); }
  /** Runs `what` once after `ms`, unless the thread ends before. */
  void After(int ms, std::function<void()> what);
  /** Ends every connection and tunnel of this thread. */
  void CloseConnections(Reason reason);
  /** See EventQueue: with `soon` the event waits up to two ticks of the timers, for others to come with it. */
  bool Announce(EventRecord event, bool soon);
  /** About something that is known; nobody waits for an answer. */
  void Report(EventRecord event);
  void Bury(std::unique_ptr<Mortal> dead) { dead_.push_back(std::move(dead)); }

  Engine& engine() { return engine_; }
  int index() const { return index_; }
  Nanos now() const { return now_; }
  int own_netns() const { return own_netns_.get(); }
  OutputPool& outputs() { return outputs_; }
  PipePool& pipes() { return pipes_; }
  /** Ciphertext as received. */
  uint8_t* cipher_scratch() { return cipher_scratch_.get(); }
  /** Plaintext of one direction at a time; 16 bytes in front belong to it too (a frame header goes there). */
  uint8_t* plain_scratch() { return plain_scratch_.get() + 16; }
  bool stopping() const { return stopping_; }
  /** A step of a handshake is a hundred times dearer than a record: those of strangers take their turns. */
  bool TakeHandshakeStep() { return handshake_steps_++ < kHandshakeStepsPerTurn; }

  /** Connections and tunnels of this thread. */
  List<RegistryNode>& connections() { return connections_; }
  List<RegistryNode>& tunnels() { return tunnels_; }
  /** Caches of pods of this thread that hold something. */
  List<RouteCache>& route_caches() { return route_caches_; }
  RandomBytes& random() { return random_; }
  std::atomic<int> tunnel_count{0};
  const BusyShare& busy() const { return busy_; }
  HandshakeQueue handshakes;

 private:
  int Prepare();
  void Main();
  void RunTasks();
  void CloseEverything();
  void FreeDead();
  void EverySecond();

  Engine& engine_;
  const int index_;
  Fd epoll_;
  Fd wake_;
  Fd own_netns_;
  std::thread thread_;
  Nanos now_;
  TimerWheel wheel_;
  Timer second_;
  Timer events_due_;
  bool begun_ = false;
  bool stopping_ = false;
  int handshake_steps_ = 0;
  bool crowded_ = false;

  std::mutex mutex_;
  std::vector<Task> tasks_;
  bool stop_requested_ = false;
  bool wake_pending_ = false;

  OutputPool outputs_;
  PipePool pipes_;
  std::unique_ptr<uint8_t[]> cipher_scratch_;
  std::unique_ptr<uint8_t[]> plain_scratch_;
  std::vector<std::unique_ptr<Timer>> delayed_;
  List<Runnable> run_queue_;
  List<Flushable> dirty_;
  std::vector<std::unique_ptr<Mortal>> dead_;
  BusyShare busy_;
  RandomBytes random_;
  List<RouteCache> route_caches_;
  List<RegistryNode> connections_;
  List<RegistryNode> tunnels_;
};

}  // namespace culvert
