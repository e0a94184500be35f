#include "capture/address_watcher.h"

#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <cerrno>

namespace culvert::capture {

// Outlives the watcher until the loop has let go of the handle.
struct AddressWatcher::Subscription {
  Netlink netlink;
  uv_poll_t poll;
  std::function<void()> changed;
};

// The messages only say that something changed: what there is now is read afresh, so a lost one does no harm.
static bool Drain(int fd) {
  char buffer[8192];
  bool any = false;
  for (;;) {
    ssize_t received = recv(fd, buffer, sizeof(buffer), 0);
    if (received < 0 && errno == EINTR) continue;
    // ENOBUFS: messages were lost, which is news too.
    if (received < 0 && errno != ENOBUFS) return any;
    any = true;
  }
}

int AddressWatcher::Open(uv_loop_t* loop, int netns, std::function<void()> changed) {
  Close();
  auto subscription = std::make_unique<Subscription>();
  int error = subscription->netlink.Open(netns, RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR | RTMGRP_LINK);
  if (error != 0) return error;
  error = uv_poll_init(loop, &subscription->poll, subscription->netlink.fd());
  if (error != 0) return error;
  subscription->changed = std::move(changed);
  subscription->poll.data = subscription.get();
  subscription_ = subscription.release();
  uv_unref(reinterpret_cast<uv_handle_t*>(&subscription_->poll));
  return uv_poll_start(&subscription_->poll, UV_READABLE, [](uv_poll_t* poll, int, int) {
    auto* self = static_cast<Subscription*>(poll->data);
    // A copy: the callback may close the watcher.
    std::function<void()> notify = self->changed;
    if (Drain(self->netlink.fd()) && notify) notify();
  });
}

void AddressWatcher::Close() {
  if (subscription_ == nullptr) return;
  Subscription* closing = subscription_;
  subscription_ = nullptr;
  closing->changed = nullptr;
  uv_poll_stop(&closing->poll);
  uv_close(reinterpret_cast<uv_handle_t*>(&closing->poll),
           [](uv_handle_t* handle) { delete static_cast<Subscription*>(handle->data); });
}

}  // namespace culvert::capture
