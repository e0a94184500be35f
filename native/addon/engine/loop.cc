#include "loop.h"

#include <pthread.h>
#include <malloc.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <system_error>

#include "connection.h"
#include "engine.h"
#include "exhaustion.h"
#include "tunnel.h"

namespace culvert {

static constexpr int kEventsPerTurn = 256;

Loop::Loop(Engine& engine, int index)
    : engine_(engine),
      index_(index),
      epoll_(epoll_create1(EPOLL_CLOEXEC)),
      wake_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)),
      now_(Now()),
      wheel_(now_),
      second_([this] { EverySecond(); }),
      events_due_([this] { engine_.events().Wake(); }),
      busy_(now_),
      cipher_scratch_(new uint8_t[kScratchBytes]),
      plain_scratch_(new uint8_t[16 + kScratchBytes]) {}

Loop::~Loop() { Join(); }

int Loop::Prepare() {
  // The namespace of the caller, which is the thread's too.
  own_netns_ = OpenOwnNetns();
  if (!own_netns_) return errno;
  if (!epoll_ || !wake_) return EMFILE;
  epoll_event event = {};
  event.events = EPOLLIN;
  event.data.ptr = nullptr;
  return epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, wake_.get(), &event) == 0 ? 0 : errno;
}

int Loop::Start() {
  int error = Prepare();
  if (error != 0) return error;
  try {
    thread_ = std::thread([this] { Main(); });
  } catch (const std::system_error& failed) {
    return failed.code().value();
  }
  return 0;
}

void Loop::RequestStop() {
  std::lock_guard<std::mutex> lock(mutex_);
  stop_requested_ = true;
  eventfd_write(wake_.get(), 1);
}

void Loop::Join() {
  if (thread_.joinable()) return thread_.join();
  while (begun_ && !stopping_) Turn();
}

bool Loop::Post(Task& task) {
  std::lock_guard<std::mutex> lock(mutex_);
  if (tasks_.size() >= kCommandsMax) return false;
  tasks_.push_back(std::move(task));
  if (!wake_pending_) eventfd_write(wake_.get(), 1);
  wake_pending_ = true;
  return true;
}

void Loop::PostAlways(Task task) {
  std::lock_guard<std::mutex> lock(mutex_);
  tasks_.push_back(std::move(task));
  if (!wake_pending_) eventfd_write(wake_.get(), 1);
  wake_pending_ = true;
}

int Loop::Watch(int fd, Pollable* target, uint32_t events) {
  epoll_event event = {};
  event.events = events;
  event.data.ptr = target;
  return epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) == 0 ? 0 : errno;
}

int Loop::Rewatch(int fd, Pollable* target, uint32_t events) {
  epoll_event event = {};
  event.events = events;
  event.data.ptr = target;
  return epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd, &event) == 0 ? 0 : errno;
}

void Loop::Unwatch(int fd) { epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr); }

void Loop::After(int ms, std::function<void()> what) {
  delayed_.push_back(std::make_unique<Timer>(std::move(what)));
  Arm(*delayed_.back(), ms);
}

bool Loop::Announce(EventRecord event, bool soon) {
  EventQueue& events = engine_.events();
  if (!events.Announce(std::move(event), soon)) return false;
  if (soon && !events_due_.armed()) Arm(events_due_, 0);
  return true;
}

void Loop::Report(EventRecord event) {
  engine_.events().Report(std::move(event), true);
  if (!events_due_.armed()) Arm(events_due_, 0);
}

void Loop::Main() {
  pthread_setname_np(pthread_self(), "culvert-engine");
  // Signals are Node's: one delivered here would interrupt nothing that anyone waits for.
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, nullptr);
  EndWithoutMemory();
  Arm(second_, 1000);
  while (!stopping_) Turn();
}

int Loop::Begin() {
  begun_ = true;
  Arm(second_, 1000);
  return Prepare();
}

void Loop::Turn() {
  bool busy = !run_queue_.empty() || !dirty_.empty();
  epoll_event events[kEventsPerTurn];
  int count = epoll_wait(epoll_.get(), events, kEventsPerTurn, busy ? 0 : wheel_.SleepMs(Now()));
  now_ = Now();
  handshake_steps_ = 0;
  for (int i = 0; i < count; ++i) {
    if (events[i].data.ptr == nullptr) {
      RunTasks();
    } else {
      static_cast<Pollable*>(events[i].data.ptr)->OnReady(events[i].events);
    }
  }
  wheel_.Advance(now_);
  List<Runnable> ready;
  ready.TakeAll(run_queue_);
  while (Runnable* item = ready.PopFront()) item->Run();
  List<Flushable> dirty;
  dirty.TakeAll(dirty_);
  while (Flushable* item = dirty.PopFront()) item->Flush();
  if (stopping_) CloseEverything();
  FreeDead();
  busy_.Worked(now_, Now());
}

void Loop::RunTasks() {
  eventfd_t value;
  eventfd_read(wake_.get(), &value);
  std::vector<Task> tasks;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    tasks.swap(tasks_);
    wake_pending_ = false;
    stopping_ = stop_requested_;
  }
  for (Task& task : tasks) task.Run(*this);
}

void Loop::CloseConnections(Reason reason) {
  while (auto* node = connections_.front()) static_cast<Connection*>(node)->Terminate(reason, 0, EndedBy::kEngine);
  while (auto* node = tunnels_.front()) static_cast<Tunnel*>(node)->Abort(reason, 0, "");
}

void Loop::CloseEverything() {
  CloseConnections(Reason::kClosedByRequest);
  List<Runnable> ready;
  ready.TakeAll(run_queue_);
  while (ready.PopFront() != nullptr) continue;
  List<Flushable> dirty;
  dirty.TakeAll(dirty_);
  while (dirty.PopFront() != nullptr) continue;
}

void Loop::FreeDead() {
  // A destructor may bury more.
  while (!dead_.empty()) {
    std::vector<std::unique_ptr<Mortal>> dead;
    dead.swap(dead_);
  }
}

void Loop::EverySecond() {
  Arm(second_, 1000);
  // Here and not in After(), which may be called by one of them.
  auto spent = [](const std::unique_ptr<Timer>& timer) { return !timer->armed(); };
  delayed_.erase(std::remove_if(delayed_.begin(), delayed_.end(), spent), delayed_.end());
  // One that ends leaves the list at once and stays valid until the end of the turn.
  std::vector<Tunnel*> tunnels;
  for (auto* node = tunnels_.front(); node != nullptr; node = tunnels_.next(node)) {
    tunnels.push_back(static_cast<Tunnel*>(node));
  }
  for (Tunnel* tunnel : tunnels) tunnel->EverySecond();
  if (handshakes.size() * 4 >= static_cast<size_t>(engine_.options().limits.handshakes_per_thread)) crowded_ = true;
  if (crowded_ && handshakes.size() == 0) {
    // A crowd of strangers has left, and tens of megabytes with it that the allocator would keep.
    crowded_ = false;
    malloc_trim(0);
  }
  if (index_ == 0) engine_.EverySecond();
}

}  // namespace culvert
