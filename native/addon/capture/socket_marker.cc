#include "capture/socket_marker.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <unistd.h>

#include <cerrno>

#include "capture/in_netns.h"
#include "keep.skel.h"

namespace culvert::capture {

SocketMarker::SocketMarker() : keep_(nullptr, keep_bpf__destroy) {}
SocketMarker::~SocketMarker() = default;

int SocketMarker::Load() {
  keep_.reset(keep_bpf__open_and_load());
  if (!keep_) return -errno;
  return keep_bpf__attach(keep_.get());
}

// The iterator walks the namespace of the thread that makes it; reading it to its end runs the program.
static int Walk(int link) {
  Fd iterator(bpf_iter_create(link));
  if (!iterator) return -errno;
  char buffer[256];
  for (;;) {
    ssize_t received = read(iterator.get(), buffer, sizeof(buffer));
    if (received == 0) return 0;
    if (received < 0 && errno != EINTR && errno != EAGAIN) return -errno;
  }
}

int64_t SocketMarker::Mark(int netns, uint32_t from, uint32_t to, uint32_t over) {
  if (!keep_) return -EINVAL;
  keep_->bss->from_mark = from;
  keep_->bss->to_mark = to;
  keep_->bss->over = over;
  keep_->bss->matched = 0;
  keep_->bss->failed = 0;
  int link = bpf_link__fd(keep_->links.culvert_keep);
  int error = InNetns(netns, [&] { return Walk(link); });
  if (error != 0) return error;
  if (keep_->bss->failed != 0) return -EIO;
  return static_cast<int64_t>(keep_->bss->matched);
}

}  // namespace culvert::capture
