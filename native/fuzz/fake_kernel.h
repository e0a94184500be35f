// The system calls of the engine, answered by a program of our own: sockets between engines and applications, epoll,
// eventfd, namespaces and the clock. The linker puts it in their place (--wrap). It does what Linux does where the
// engine relies on it: edges, short reads, RST after data, ECONNRESET once; and it aborts where Linux would let a
// mistake pass: a closed descriptor used, closed twice, in two epolls, bytes after shutdown.
#pragma once

#include <sys/epoll.h>

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "address.h"
#include "byte_source.h"
#include "clock.h"

namespace culvert {

struct File;

/** One end of a connection: an engine's, which has a File, or an application's. */
struct Endpoint {
  Endpoint* peer = nullptr;
  File* file = nullptr;
  Address local, remote;
  /** Sent by the peer: on the wire, and arrived. */
  std::string wire, arrived;
  bool fin_on_wire = false, fin_arrived = false;
  bool reset_on_wire = false, reset_arrived = false;
  bool connecting = false;
  /** An application's alone: it closed its end. */
  bool closed = false;
  bool shut = false;
  /** A send was refused: space is told of. */
  bool wants_space = false;
  int error = 0;
  /** The wire to this end is cut, for now. */
  bool frozen = false;

  bool Ended() const { return fin_arrived && arrived.empty(); }
};

/** What a descriptor stands for. */
struct File {
  enum class Kind { kEpoll, kEvent, kNetns, kSocket, kPipe };
  int fd = 0;
  Kind kind = Kind::kSocket;
  bool open = true;
  bool listening = false;
  bool linger = false;
  Address bound;
  Endpoint* end = nullptr;
  std::deque<Endpoint*> backlog;
  /** A pipe's end that is read from: what is in it. The other end has the next number. */
  std::string held;
  uint64_t count = 0;
  /** Registration: which epoll, for what, and whether something happened since it was told. */
  File* epoll = nullptr;
  epoll_event wanted = {};
  bool edge = false;
  /** An epoll's: what is in it, and how long its last wait was to be. */
  std::vector<File*> members;
  int timeout = 0;
};

enum class Call { kSocket, kConnect, kAccept, kSend, kReceive, kSetns, kDuplicate, kWatch, kCount };

class FakeKernel {
 public:
  /** `seed` decides the order of readiness; with 0 it is always the same one, and whole. */
  explicit FakeKernel(uint16_t seed);
  ~FakeKernel();
  static FakeKernel* current() { return current_; }
  static bool Owns(int fd) { return fd >= kFirstFd; }

  // For the harness: applications, the wire, the clock, faults.
  /** An application's connection to whoever listens on `port`; null if nobody does. */
  Endpoint* Dial(uint16_t port, const Address& from, const Address& original);
  /** Connects of the engine that wait for an answer. */
  std::vector<Endpoint*>& dialling() { return dialling_; }
  /** Answers one: a listener's backlog or, for an application, the other end. Null: refused, or in the backlog. */
  Endpoint* Answer(Endpoint* dialled, bool accept);
  /** What may be sent to this end before its reader has read more. */
  size_t SpaceTo(const Endpoint* end) const;
  size_t Write(Endpoint* end, const std::string& data);
  std::string Read(Endpoint* end, size_t max);
  void Shut(Endpoint* end);
  /** With a RST if `reset` or if something is unread. */
  void CloseEnd(Endpoint* end, bool reset);
  /** Moves up to `max` bytes off the wire; the FIN or RST follows the last. True if something moved. */
  bool Deliver(Endpoint* end, size_t max);
  std::vector<std::unique_ptr<Endpoint>>& ends() { return ends_; }
  void Advance(Nanos time) { now_ += time; }
  Nanos now() const { return now_; }
  /** The shortest of the last waits, -1 if all are for ever. */
  int Timeout() const;
  void Fail(Call call, int error, int times) { faults_[call] = {error, times}; }
  void Heal() {
    faults_.clear();
    files_max_ = kFilesUsual;
  }
  /** The process may open so many more. */
  void LimitFiles(int more) { files_max_ = kFirstFd + static_cast<int>(files_.size()) + more; }
  int files_max() const { return files_max_; }
  /** Less than `bound`; 0 without a seed. */
  size_t Chance(size_t bound);
  void set_capacity(size_t bytes) { capacity_ = bytes; }
  size_t OpenFiles() const;
  /** Counts everything that happened. */
  uint64_t activity() const { return activity_; }

  // The system calls.
  int Open(File::Kind kind);
  int Close(int fd);
  int Bind(int fd, const Address& address);
  int Listen(int fd);
  int Accept(int fd, Address* from);
  int Connect(int fd, const Address& to);
  ssize_t Receive(int fd, uint8_t* to, size_t length);
  ssize_t Send(int fd, const uint8_t* from, size_t length);
  int Shutdown(int fd);
  int OpenPipe(int ends[2]);
  ssize_t Splice(int from, int to, size_t length);
  int EpollControl(int epoll, int operation, int fd, epoll_event* event);
  int EpollWait(int epoll, epoll_event* out, int max, int timeout);
  File* Find(int fd, File::Kind kind);
  bool Failing(Call call);

 private:
  struct Fault {
    int error = 0;
    int times = 0;
  };
  static constexpr int kFirstFd = 1 << 20;
  static constexpr int kFilesUsual = 1 << 30;

  Endpoint* NewEnd();
  uint32_t Mask(const File& file) const;
  void Touch(Endpoint* end);
  void Freed(Endpoint* reader);
  void ResetPeer(Endpoint* end);

  static FakeKernel* current_;
  uint64_t random_;
  int files_max_ = kFilesUsual;
  Nanos now_ = 1000 * kSecond;
  size_t capacity_ = 256 * 1024;
  uint16_t next_port_ = 32768;
  uint64_t activity_ = 0;
  std::vector<std::unique_ptr<File>> files_;
  std::vector<std::unique_ptr<Endpoint>> ends_;
  std::vector<Endpoint*> dialling_;
  std::map<Call, Fault> faults_;
};

}  // namespace culvert
