#include "fake_kernel.h"

#include <cerrno>
#include <cstring>
#include <utility>

namespace culvert {

FakeKernel* FakeKernel::current_ = nullptr;

static int Error(int error) {
  errno = error;
  return -1;
}

FakeKernel::FakeKernel(uint16_t seed) : random_(seed) { current_ = this; }

FakeKernel::~FakeKernel() { current_ = nullptr; }

size_t FakeKernel::Chance(size_t bound) {
  random_ ^= random_ << 13;
  random_ ^= random_ >> 7;
  random_ ^= random_ << 17;
  return bound == 0 ? 0 : (random_ >> 16) % bound;
}

File* FakeKernel::Find(int fd, File::Kind kind) {
  size_t index = static_cast<size_t>(fd - kFirstFd);
  Expect(Owns(fd) && index < files_.size(), "a descriptor is one that was opened");
  File* file = files_[index].get();
  Expect(file->open, "no descriptor is used after it was closed");
  Expect(file->kind == kind, "a descriptor is used for what it is");
  return file;
}

size_t FakeKernel::OpenFiles() const {
  return static_cast<size_t>(std::count_if(files_.begin(), files_.end(), [](auto& file) { return file->open; }));
}

bool FakeKernel::Failing(Call call) {
  auto found = faults_.find(call);
  if (found == faults_.end() || found->second.times == 0) return false;
  --found->second.times;
  errno = found->second.error;
  return true;
}

int FakeKernel::Open(File::Kind kind) {
  files_.push_back(std::make_unique<File>());
  files_.back()->fd = kFirstFd + static_cast<int>(files_.size()) - 1;
  files_.back()->kind = kind;
  return files_.back()->fd;
}

Endpoint* FakeKernel::NewEnd() {
  ends_.push_back(std::make_unique<Endpoint>());
  return ends_.back().get();
}

int FakeKernel::Bind(int fd, const Address& address) {
  File* file = Find(fd, File::Kind::kSocket);
  file->bound = address;
  if (address.port == 0) file->bound.port = next_port_++;
  return 0;
}

int FakeKernel::Listen(int fd) {
  Find(fd, File::Kind::kSocket)->listening = true;
  return 0;
}

Endpoint* FakeKernel::Dial(uint16_t port, const Address& from, const Address& original) {
  for (auto& file : files_) {
    if (!file->open || !file->listening || file->bound.port != port) continue;
    Endpoint* ours = NewEnd();
    Endpoint* theirs = NewEnd();
    ours->peer = theirs;
    theirs->peer = ours;
    ours->local = theirs->remote = from;
    ours->remote = theirs->local = original;
    file->backlog.push_back(theirs);
    ++activity_;
    return ours;
  }
  return nullptr;
}

int FakeKernel::Accept(int fd, Address* from) {
  File* listener = Find(fd, File::Kind::kSocket);
  Expect(listener->listening, "only a listener accepts");
  if (listener->backlog.empty()) return Error(EAGAIN);
  if (Failing(Call::kAccept)) return -1;
  Endpoint* end = listener->backlog.front();
  listener->backlog.pop_front();
  int accepted = Open(File::Kind::kSocket);
  end->file = Find(accepted, File::Kind::kSocket);
  end->file->end = end;
  *from = end->remote;
  ++activity_;
  return accepted;
}

int FakeKernel::Connect(int fd, const Address& to) {
  if (Failing(Call::kConnect)) return -1;
  File* file = Find(fd, File::Kind::kSocket);
  Endpoint* end = NewEnd();
  end->file = file;
  file->end = end;
  if (!file->bound) {
    file->bound = Address::Parse("10.0.0.1", next_port_);
    if (++next_port_ == 0) next_port_ = 32768;
  }
  end->local = file->bound;
  end->remote = to;
  end->connecting = true;
  dialling_.push_back(end);
  ++activity_;
  return Error(EINPROGRESS);
}

Endpoint* FakeKernel::Answer(Endpoint* end, bool accept) {
  dialling_.erase(std::find(dialling_.begin(), dialling_.end(), end));
  if (end->file == nullptr) return nullptr;
  ++activity_;
  end->connecting = false;
  Touch(end);
  if (accept && end->remote.port >= 32768) {
    Endpoint* ours = Dial(end->remote.port, end->local, end->remote);
    // The backlog has an end of its own for it: join ours to that one.
    if (ours != nullptr) {
      end->peer = ours->peer;
      end->peer->peer = end;
      return nullptr;
    }
    accept = false;
  }
  if (!accept) {
    end->error = ECONNREFUSED;
    end->reset_arrived = true;
    return nullptr;
  }
  Endpoint* application = NewEnd();
  application->peer = end;
  end->peer = application;
  application->local = end->remote;
  application->remote = end->local;
  return application;
}

void FakeKernel::Touch(Endpoint* end) {
  if (end->file != nullptr) end->file->edge = true;
}

size_t FakeKernel::SpaceTo(const Endpoint* end) const {
  size_t held = end->wire.size() + end->arrived.size();
  return held >= capacity_ ? 0 : capacity_ - held;
}

/** The reader has made space: the other end is told if it was refused some. */
void FakeKernel::Freed(Endpoint* reader) {
  Endpoint* writer = reader->peer;
  if (writer == nullptr || !writer->wants_space || SpaceTo(reader) * 3 < capacity_) return;
  writer->wants_space = false;
  Touch(writer);
}

size_t FakeKernel::Write(Endpoint* end, const std::string& data) {
  if (end->peer == nullptr || end->shut || end->closed || end->reset_arrived || end->peer->reset_on_wire) return 0;
  size_t length = std::min(data.size(), SpaceTo(end->peer));
  end->peer->wire.append(data, 0, length);
  if (length > 0) ++activity_;
  return length;
}

std::string FakeKernel::Read(Endpoint* end, size_t max) {
  std::string out = end->arrived.substr(0, max);
  end->arrived.erase(0, out.size());
  if (!out.empty()) {
    ++activity_;
    Freed(end);
  }
  return out;
}

void FakeKernel::Shut(Endpoint* end) {
  if (end->shut || end->closed) return;
  end->shut = true;
  if (end->peer != nullptr) end->peer->fin_on_wire = true;
  ++activity_;
}

void FakeKernel::ResetPeer(Endpoint* end) {
  if (end->peer == nullptr) return;
  end->peer->reset_on_wire = true;
  // What was not sent is dropped; some of it may have been.
  end->peer->wire.resize(Chance(end->peer->wire.size() + 1));
}

void FakeKernel::CloseEnd(Endpoint* end, bool reset) {
  if (end->closed) return;
  if (reset || !end->arrived.empty()) {
    if (!end->reset_arrived) ResetPeer(end);
  } else {
    Shut(end);
  }
  end->closed = true;
  ++activity_;
}

bool FakeKernel::Deliver(Endpoint* end, size_t max) {
  if (end->frozen || end->reset_arrived || end->connecting) return false;
  size_t length = std::min(max, end->wire.size());
  bool moved = length > 0;
  if (moved && end->closed) {
    // Nobody is there any more.
    end->wire.clear();
    end->fin_on_wire = false;
    if (end->peer != nullptr && !end->peer->reset_arrived) end->peer->reset_on_wire = true;
  } else {
    end->arrived.append(end->wire, 0, length);
    end->wire.erase(0, length);
  }
  if (end->wire.empty() && end->fin_on_wire && !end->fin_arrived) {
    end->fin_arrived = moved = true;
  }
  if (end->wire.empty() && end->reset_on_wire) {
    end->reset_arrived = moved = true;
    end->error = ECONNRESET;
  }
  if (!moved) return false;
  ++activity_;
  Touch(end);
  return true;
}

int FakeKernel::Close(int fd) {
  size_t index = static_cast<size_t>(fd - kFirstFd);
  Expect(index < files_.size() && files_[index]->open, "no descriptor is closed twice");
  File* file = files_[index].get();
  file->open = false;
  ++activity_;
  if (file->epoll != nullptr) {
    auto& members = file->epoll->members;
    members.erase(std::find(members.begin(), members.end(), file));
    file->epoll = nullptr;
  }
  for (File* member : file->members) member->epoll = nullptr;
  for (Endpoint* waiting : file->backlog) {
    waiting->closed = true;
    ResetPeer(waiting);
  }
  if (file->end != nullptr) {
    file->end->file = nullptr;
    CloseEnd(file->end, file->linger);
  }
  return 0;
}

int FakeKernel::Shutdown(int fd) {
  File* file = Find(fd, File::Kind::kSocket);
  Expect(file->end != nullptr && !file->end->shut, "a connection is shut once");
  Shut(file->end);
  return 0;
}

ssize_t FakeKernel::Receive(int fd, uint8_t* to, size_t length) {
  Endpoint* end = Find(fd, File::Kind::kSocket)->end;
  Expect(end != nullptr && length > 0, "a connection is read, and for something");
  if (Failing(Call::kReceive)) return -1;
  if (!end->arrived.empty()) {
    std::string data = Read(end, length);
    memcpy(to, data.data(), data.size());
    return static_cast<ssize_t>(data.size());
  }
  if (end->error != 0) return Error(std::exchange(end->error, 0));
  return end->fin_arrived || end->reset_arrived ? 0 : Error(EAGAIN);
}

ssize_t FakeKernel::Send(int fd, const uint8_t* from, size_t length) {
  Endpoint* end = Find(fd, File::Kind::kSocket)->end;
  Expect(end != nullptr && !end->connecting && length > 0, "a connection that is up is written to, and something");
  Expect(!end->shut, "nothing is sent after the end");
  if (Failing(Call::kSend)) return -1;
  if (end->error != 0) return Error(std::exchange(end->error, 0));
  if (end->reset_arrived || end->peer == nullptr) return Error(EPIPE);
  size_t taken = std::min(length, SpaceTo(end->peer));
  if (taken < length) end->wants_space = true;
  if (taken == 0) return Error(EAGAIN);
  end->peer->wire.append(reinterpret_cast<const char*>(from), taken);
  ++activity_;
  return static_cast<ssize_t>(taken);
}

int FakeKernel::OpenPipe(int ends[2]) {
  if (Failing(Call::kSocket)) return -1;
  ends[0] = Open(File::Kind::kPipe);
  ends[1] = Open(File::Kind::kPipe);
  return 0;
}

ssize_t FakeKernel::Splice(int from, int to, size_t length) {
  constexpr size_t kPipeBytes = 64 * 1024;
  size_t index = static_cast<size_t>(from - kFirstFd);
  if (index < files_.size() && files_[index]->kind == File::Kind::kPipe) {
    std::string& held = Find(from, File::Kind::kPipe)->held;
    ssize_t sent = Send(to, reinterpret_cast<const uint8_t*>(held.data()), std::min(length, held.size()));
    if (sent > 0) held.erase(0, static_cast<size_t>(sent));
    return sent;
  }
  Find(to, File::Kind::kPipe);
  std::string& held = Find(to - 1, File::Kind::kPipe)->held;
  Expect(held.empty(), "a pipe is empty when it is filled");
  std::string bytes(std::min(length, kPipeBytes), 0);
  ssize_t got = Receive(from, reinterpret_cast<uint8_t*>(bytes.data()), bytes.size());
  if (got > 0) held.assign(bytes, 0, static_cast<size_t>(got));
  return got;
}

}  // namespace culvert
