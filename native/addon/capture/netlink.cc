#include "capture/netlink.h"

#include <sys/socket.h>

#include <cerrno>

#include "capture/in_netns.h"

namespace culvert::capture {

constexpr size_t kAnswerBytes = 64 * 1024;

Request::Request(uint16_t type, uint16_t flags) {
  nlmsghdr* header = mnl_nlmsg_put_header(buffer_);
  header->nlmsg_type = type;
  header->nlmsg_flags = static_cast<uint16_t>(NLM_F_REQUEST | flags);
}

int Netlink::Open(int netns, uint32_t groups, int protocol) {
  return InNetns(netns, [&] {
    Fd fd(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | (groups ? SOCK_NONBLOCK : 0), protocol));
    if (!fd) return -errno;
    sockaddr_nl address = {};
    address.nl_family = AF_NETLINK;
    address.nl_groups = groups;
    if (bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) return -errno;
    fd_ = std::move(fd);
    return 0;
  });
}

int Netlink::Change(Request& request) {
  request.message()->nlmsg_flags |= NLM_F_ACK;
  return Run(request, [](const nlmsghdr*) {});
}

int Netlink::Dump(Request& request, const std::function<void(const nlmsghdr*)>& each) {
  request.message()->nlmsg_flags |= NLM_F_DUMP;
  return Run(request, each);
}

int Netlink::Run(Request& request, const std::function<void(const nlmsghdr*)>& each) {
  request.message()->nlmsg_seq = ++sequence_;
  if (send(fd_.get(), request.message(), request.message()->nlmsg_len, 0) < 0) return -errno;
  answer_.resize(kAnswerBytes);
  for (;;) {
    ssize_t received = recv(fd_.get(), answer_.data(), answer_.size(), 0);
    if (received < 0 && errno == EINTR) continue;
    if (received < 0) return -errno;
    int left = static_cast<int>(received);
    // libmnl takes a length for an int: one above INT_MAX would pass.
    auto ok = [&](const nlmsghdr* message) {
      return mnl_nlmsg_ok(message, left) && message->nlmsg_len <= static_cast<uint32_t>(left);
    };
    for (auto* message = reinterpret_cast<nlmsghdr*>(answer_.data()); ok(message);
         message = mnl_nlmsg_next(message, &left)) {
      // The rest of an earlier request that failed half-way.
      if (message->nlmsg_seq != sequence_) continue;
      if (message->nlmsg_type == NLMSG_DONE) return 0;
      if (message->nlmsg_type == NLMSG_ERROR && !Holds<nlmsgerr>(message)) return -EBADMSG;
      if (message->nlmsg_type == NLMSG_ERROR) return static_cast<nlmsgerr*>(mnl_nlmsg_get_payload(message))->error;
      each(message);
    }
  }
}

}  // namespace culvert::capture
