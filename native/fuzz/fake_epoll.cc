// FakeKernel, continued: epoll, and the waits.
#include <cerrno>

#include "fake_kernel.h"

namespace culvert {

/** As tcp_poll and its like. */
uint32_t FakeKernel::Mask(const File& file) const {
  if (file.kind == File::Kind::kEvent) return file.count > 0 ? EPOLLIN : 0u;
  if (file.listening) return file.backlog.empty() ? 0u : EPOLLIN;
  const Endpoint* end = file.end;
  if (end == nullptr || end->connecting) return 0;
  uint32_t mask = 0;
  if (!end->arrived.empty() || end->fin_arrived) mask |= EPOLLIN;
  if (end->fin_arrived) mask |= EPOLLRDHUP;
  if (end->shut && end->fin_arrived) mask |= EPOLLHUP;
  if (end->error != 0) mask |= EPOLLERR;
  if (end->reset_arrived) mask |= EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLHUP;
  if (end->peer != nullptr && SpaceTo(end->peer) * 3 >= capacity_) mask |= EPOLLOUT;
  return mask;
}

int FakeKernel::EpollControl(int epoll, int operation, int fd, epoll_event* event) {
  File* in = Find(epoll, File::Kind::kEpoll);
  Expect(Owns(fd) && static_cast<size_t>(fd - kFirstFd) < files_.size(), "what is watched was opened");
  File* file = files_[static_cast<size_t>(fd - kFirstFd)].get();
  Expect(file->open, "what is watched is open");
  if (operation == EPOLL_CTL_ADD) {
    if (Failing(Call::kWatch)) return -1;
    Expect(file->epoll == nullptr, "a descriptor is in one epoll, once");
    file->epoll = in;
    in->members.push_back(file);
  } else if (file->epoll != in) {
    errno = ENOENT;
    return -1;
  }
  if (operation == EPOLL_CTL_DEL) {
    in->members.erase(std::find(in->members.begin(), in->members.end(), file));
    file->epoll = nullptr;
    return 0;
  }
  file->wanted = *event;
  file->edge = true;
  return 0;
}

int FakeKernel::EpollWait(int epoll, epoll_event* out, int max, int timeout) {
  File* in = Find(epoll, File::Kind::kEpoll);
  in->timeout = timeout;
  size_t size = in->members.size();
  // Any order, and now and then not all at once.
  size_t first = Chance(size);
  int most = Chance(4) == 3 ? 2 : max;
  int count = 0;
  for (size_t i = 0; i < size && count < most; ++i) {
    File* file = in->members[(first + i) % size];
    bool edged = (file->wanted.events & EPOLLET) != 0;
    uint32_t mask = Mask(*file) & (file->wanted.events | EPOLLERR | EPOLLHUP);
    if (mask == 0) file->edge = false;
    if (mask == 0 || (edged && !file->edge)) continue;
    file->edge = false;
    out[count].events = mask;
    out[count].data = file->wanted.data;
    ++count;
  }
  if (count > 0) ++activity_;
  return count;
}

int FakeKernel::Timeout() const {
  int shortest = -1;
  for (auto& file : files_) {
    if (!file->open || file->kind != File::Kind::kEpoll || file->timeout < 0) continue;
    if (shortest < 0 || file->timeout < shortest) shortest = file->timeout;
  }
  return shortest;
}

}  // namespace culvert
