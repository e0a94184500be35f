// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
/* Which socket gets a new TCP connection of the pod's network namespace. Runs once per connection. */
#include <linux/bpf.h>
#include <linux/in.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include "types.h"
#include "maps.h"

#define AF_INET 2
#define LOOPBACK_IFINDEX 1

const volatile __u16 hbone_port = 15008;

/* A load of a context field that the compiler may not merge with its neighbours, which the verifier refuses. */
#define FIELD(field) (*(const volatile __u32 *)&(field))

static __always_inline struct address address_of(__u32 family, __be32 ip4_be, const __be32 *ip6_be)
{
	struct address address;

	if (family == AF_INET)
		return mapped_address(ip4_be);
	__builtin_memcpy(address.bytes, ip6_be, sizeof(address.bytes));
	return address;
}

static __always_inline struct address local_address(const struct bpf_sk_lookup *ctx)
{
	__be32 words_be[4] = { FIELD(ctx->local_ip6[0]), FIELD(ctx->local_ip6[1]), FIELD(ctx->local_ip6[2]),
			       FIELD(ctx->local_ip6[3]) };

	return address_of(ctx->family, FIELD(ctx->local_ip4), words_be);
}

static __always_inline struct address remote_address(const struct bpf_sk_lookup *ctx)
{
	__be32 words_be[4] = { FIELD(ctx->remote_ip6[0]), FIELD(ctx->remote_ip6[1]), FIELD(ctx->remote_ip6[2]),
			       FIELD(ctx->remote_ip6[3]) };

	return address_of(ctx->family, FIELD(ctx->remote_ip4), words_be);
}

static __always_inline int is_own(__u32 family, const struct address *address)
{
	__u64 halves_be[2];

	__builtin_memcpy(halves_be, address->bytes, sizeof(halves_be));
	if (family == AF_INET ? address->bytes[12] == 127 : !halves_be[0] && halves_be[1] == bpf_cpu_to_be64(1))
		return 1;
	return bpf_map_lookup_elem(&own_addresses, address) != 0;
}

/* Hands the connection to a listener of ztunnel. Fails closed: without the listener nobody gets it. */
static __always_inline int assign(struct bpf_sk_lookup *ctx, __u32 which, enum counter captured, enum counter missing)
{
	struct bpf_sock *listener = bpf_map_lookup_elem(&listeners, &which);

	if (!listener) {
		count(missing);
		return SK_DROP;
	}

	/* NO_REUSEPORT: a process of the same uid in the pod could otherwise join the listener's group. */
	long error = bpf_sk_assign(ctx, listener, BPF_SK_LOOKUP_F_NO_REUSEPORT);

	bpf_sk_release(listener);
	if (error) {
		count(COUNTER_assign_failed);
		return SK_DROP;
	}
	count(captured);
	return SK_PASS;
}

static __always_inline int from_inside(struct bpf_sk_lookup *ctx)
{
	struct address local = local_address(ctx);

	/* The pod talks to itself, or ztunnel delivers to the application. */
	if (is_own(ctx->family, &local)) {
		count(COUNTER_inside_passed);
		return SK_PASS;
	}
	/* The application dials out: table 133 brought the connection back over lo. */
	return assign(ctx, LISTENER_OUTBOUND, COUNTER_outbound_captured, COUNTER_outbound_no_listener);
}

static __always_inline int from_outside(struct bpf_sk_lookup *ctx)
{
	struct address remote = remote_address(ctx);
	__be16 port_be = bpf_htons(ctx->local_port);
	struct address local = local_address(ctx);

	/*
	 * The pod talks to itself by a route of the local table (a rule let it), which names the interface of the address.
	 * Nobody outside can pretend: the answer to such a SYN does not leave the pod.
	 */
	if (is_own(ctx->family, &remote) && is_own(ctx->family, &local)) {
		count(COUNTER_inside_passed);
		return SK_PASS;
	}
	/* A peer's tunnel. Peers learn of a release later than we do, so it is served until detach. */
	if (ctx->local_port == hbone_port)
		return assign(ctx, LISTENER_HBONE, COUNTER_hbone_captured, COUNTER_hbone_no_listener);
	/* The pod left the mesh: only connections from before still concern us. */
	if (is_released()) {
		count(COUNTER_inbound_released_passed);
		return SK_PASS;
	}
	/* The kubelet probes: the application itself must answer, or a dead port would look alive. */
	if (passes_probe(&remote, port_be)) {
		count(COUNTER_inbound_probe_passed);
		return SK_PASS;
	}
	if (passes_port(DIRECTION_INBOUND, port_be) || passes_block(DIRECTION_INBOUND, &remote)) {
		count(COUNTER_inbound_excluded_passed);
		return SK_PASS;
	}
	return assign(ctx, LISTENER_PLAINTEXT, COUNTER_inbound_captured, COUNTER_inbound_no_listener);
}

SEC("sk_lookup")
int culvert_redirect(struct bpf_sk_lookup *ctx)
{
	if (ctx->protocol != IPPROTO_TCP)
		return SK_PASS;
	return ctx->ingress_ifindex == LOOPBACK_IFINDEX ? from_inside(ctx) : from_outside(ctx);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
