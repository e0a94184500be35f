// By SOCK_DESTROY of the socket diagnosis netlink (sock_diag(7), Linux 4.5), which asks for CAP_NET_ADMIN over the
// namespace and nothing else; bpf_sock_destroy would ask for Linux 6.5.
#include "capture/socket_closer.h"

#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include <cerrno>
#include <vector>

#include "capture/netlink.h"

namespace culvert::capture {

static constexpr uint32_t kStates = (1u << TCP_ESTABLISHED) | (1u << TCP_SYN_SENT) | (1u << TCP_SYN_RECV) |
                                    (1u << TCP_FIN_WAIT1) | (1u << TCP_FIN_WAIT2) | (1u << TCP_CLOSE_WAIT) |
                                    (1u << TCP_LAST_ACK) | (1u << TCP_CLOSING);

static inet_diag_req_v2* PutHeader(Request& request, uint8_t family) {
  auto* header = request.Header<inet_diag_req_v2>();
  header->sdiag_family = family;
  header->sdiag_protocol = IPPROTO_TCP;
  return header;
}

// A program of one comparison that the kernel runs over each socket: an offset past the end rejects it.
static void PutMarkFilter(Request& request, uint32_t mark) {
  struct {
    inet_diag_bc_op op;
    inet_diag_markcond condition;
  } filter = {};
  filter.op.code = INET_DIAG_BC_MARK_COND;
  filter.op.yes = sizeof(filter);
  filter.op.no = sizeof(filter) + sizeof(inet_diag_bc_op);
  filter.condition.mark = mark;
  filter.condition.mask = UINT32_MAX;
  mnl_attr_put(request.message(), INET_DIAG_REQ_BYTECODE, sizeof(filter), &filter);
}

static int Find(Netlink& netlink, uint8_t family, uint32_t mark, std::vector<inet_diag_msg>* found) {
  Request request(SOCK_DIAG_BY_FAMILY, 0);
  PutHeader(request, family)->idiag_states = kStates;
  PutMarkFilter(request, mark);
  return netlink.Dump(request, [&](const nlmsghdr* message) {
    if (mnl_nlmsg_get_payload_len(message) < sizeof(inet_diag_msg)) return;
    found->push_back(*static_cast<const inet_diag_msg*>(mnl_nlmsg_get_payload(message)));
  });
}

// The socket is named by addresses and cookie: one that took its place meanwhile has another cookie.
static int Destroy(Netlink& netlink, const inet_diag_msg& socket) {
  Request request(SOCK_DESTROY, 0);
  auto* header = PutHeader(request, socket.idiag_family);
  header->idiag_states = kStates;
  header->id = socket.id;
  return netlink.Change(request);
}

int64_t CloseConnections(int netns, uint32_t mark) {
  Netlink netlink;
  int status = netlink.Open(netns, 0, NETLINK_SOCK_DIAG);
  if (status != 0) return status;
  std::vector<inet_diag_msg> found;
  for (uint8_t family : {AF_INET, AF_INET6}) {
    status = Find(netlink, family, mark, &found);
    if (status != 0) return status;
  }
  int64_t closed = 0;
  for (const inet_diag_msg& socket : found) {
    status = Destroy(netlink, socket);
    // It ended by itself since it was listed.
    if (status == -ENOENT) continue;
    if (status != 0) return status;
    closed++;
  }
  return closed;
}

}  // namespace culvert::capture
