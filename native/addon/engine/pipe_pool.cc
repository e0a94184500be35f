#include "pipe_pool.h"

#include <fcntl.h>
#include <unistd.h>

namespace culvert {

/** Buffers of a page or more each: 64 of them. More per call costs the others of the thread their turn, and saves little. */
static constexpr int kPipeBytes = 256 * 1024;

std::unique_ptr<Pipe> Pipe::Open() {
  int ends[2];
  if (pipe2(ends, O_NONBLOCK | O_CLOEXEC) != 0) return nullptr;
  std::unique_ptr<Pipe> pipe(new Pipe);
  pipe->out_.Reset(ends[0]);
  pipe->in_.Reset(ends[1]);
  // It works with the size it has, too.
  fcntl(ends[1], F_SETPIPE_SZ, kPipeBytes);
  return pipe;
}

ssize_t Pipe::Fill(int socket) {
  ssize_t got = splice(socket, nullptr, in_.get(), nullptr, kPipeBytes, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
  if (got > 0) held_ += static_cast<size_t>(got);
  return got;
}

ssize_t Pipe::Drain(int socket) {
  ssize_t sent = splice(out_.get(), nullptr, socket, nullptr, held_, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
  if (sent > 0) held_ -= static_cast<size_t>(sent);
  return sent;
}

std::unique_ptr<Pipe> PipePool::Take() {
  if (used_ >= kOpenMax) return nullptr;
  std::unique_ptr<Pipe> pipe;
  if (free_.empty()) {
    pipe = Pipe::Open();
  } else {
    pipe = std::move(free_.back());
    free_.pop_back();
  }
  if (pipe != nullptr) ++used_;
  return pipe;
}

void PipePool::Give(std::unique_ptr<Pipe> pipe) {
  --used_;
  if (pipe->held() == 0 && free_.size() < kKept) free_.push_back(std::move(pipe));
}

}  // namespace culvert
