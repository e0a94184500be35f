// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
/* Marks, or counts, the TCP sockets of a namespace that exist already: of its connections, not of its listeners. */
#include <linux/bpf.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include "types.h"

#define SOL_SOCKET 1
#define SO_MARK 36
#define LOOPBACK_IFINDEX 1

enum tcp_state {
	TCP_ESTABLISHED = 1,
	TCP_SYN_SENT,
	TCP_SYN_RECV,
	TCP_FIN_WAIT1,
	TCP_FIN_WAIT2,
	TCP_TIME_WAIT,
	TCP_CLOSE,
	TCP_CLOSE_WAIT,
	TCP_LAST_ACK,
	TCP_LISTEN,
	TCP_CLOSING,
	TCP_NEW_SYN_RECV,
};

/* The few kernel fields that are read; libbpf finds their offsets in the running kernel's BTF. */
struct sock_common {
	volatile unsigned char skc_state;
} __attribute__((preserve_access_index));

struct sock {
	struct sock_common __sk_common;
	__u32 sk_mark;
	int sk_rx_dst_ifindex;
} __attribute__((preserve_access_index));

struct tcp_sock;

struct bpf_iter__tcp {
	__bpf_md_ptr(struct bpf_iter_meta *, meta);
	__bpf_md_ptr(struct sock_common *, sk_common);
	__u32 uid __attribute__((aligned(8)));
} __attribute__((preserve_access_index));

/* Written by the addon before each run; runs do not overlap. */
__u32 from_mark;
__u32 to_mark;
__u32 over; /* enum traffic_path */
__u64 matched;
__u64 failed;

static __always_inline int is_connection(unsigned char state)
{
	return state != TCP_LISTEN && state != TCP_CLOSE && state != TCP_TIME_WAIT && state != TCP_NEW_SYN_RECV;
}

/* A dial without an answer has no interface yet: once rules are in place nobody can tell where it goes. */
static __always_inline int runs_over(const struct sock *sock, unsigned char state)
{
	int interface = state == TCP_SYN_SENT ? 0 : sock->sk_rx_dst_ifindex;

	switch (over) {
	case PATH_NOT_LOOPBACK:
		return interface != LOOPBACK_IFINDEX;
	case PATH_OUTSIDE:
		return interface != 0 && interface != LOOPBACK_IFINDEX;
	case PATH_LOOPBACK:
		return interface == LOOPBACK_IFINDEX;
	default:
		return 1;
	}
}

SEC("iter/tcp")
int culvert_keep(struct bpf_iter__tcp *ctx)
{
	struct sock_common *common = ctx->sk_common;

	if (!common || !is_connection(common->skc_state))
		return 0;

	struct tcp_sock *tcp = bpf_skc_to_tcp_sock(common);

	if (!tcp)
		return 0;

	struct sock *sock = (struct sock *)tcp;

	if (sock->sk_mark != from_mark)
		return 0;
	if (!runs_over(sock, common->skc_state))
		return 0;
	matched++;
	if (from_mark == to_mark)
		return 0;

	int mark = to_mark;

	if (bpf_setsockopt(tcp, SOL_SOCKET, SO_MARK, &mark, sizeof(mark)))
		failed++;
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
