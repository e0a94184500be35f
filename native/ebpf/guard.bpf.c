// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
/* Nothing leaves the pod in plaintext, whatever its routes and sockets say: TCP without ztunnel's mark is dropped. */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include "types.h"
#include "maps.h"

/* TCX_NEXT and TC_ACT_UNSPEC: let the next program decide. TCX_DROP and TC_ACT_SHOT. */
#define GUARD_PASS -1
#define GUARD_DROP 2

#define IP_FRAGMENT_OFFSET 0x1fff
#define EXTENSIONS_MAX 8
#define TCP_FLAGS_OFFSET 13
#define TCP_SYN 0x02
#define TCP_ACK 0x10

/* Of ztunnel's sockets, and of connections that are older than capture. */
const volatile __u32 ztunnel_mark = 0x539;
const volatile __u32 kept_mark = 0x53b;

struct packet {
	struct address remote;
	__u32 tcp_offset; /* from the network header */
};

enum parsed { PARSED_NOT_TCP, PARSED_TCP, PARSED_UNREADABLE };

struct extension {
	__u8 next;
	__u8 length;
};

static __always_inline int load(struct __sk_buff *skb, __u32 offset, void *to, __u32 size)
{
	return bpf_skb_load_bytes_relative(skb, offset, to, size, BPF_HDR_START_NET);
}

static __always_inline enum parsed parse_ipv4(struct __sk_buff *skb, struct packet *packet)
{
	struct iphdr header;

	if (load(skb, 0, &header, sizeof(header)))
		return PARSED_UNREADABLE;
	if (header.protocol != IPPROTO_TCP)
		return PARSED_NOT_TCP;
	/* A later fragment has no ports to compare. */
	if (header.frag_off & bpf_htons(IP_FRAGMENT_OFFSET))
		return PARSED_UNREADABLE;
	packet->remote = mapped_address(header.daddr);
	packet->tcp_offset = header.ihl * 4;
	return PARSED_TCP;
}

static __always_inline int is_extension(__u8 header)
{
	return header == IPPROTO_HOPOPTS || header == IPPROTO_ROUTING || header == IPPROTO_DSTOPTS ||
	       header == IPPROTO_FRAGMENT || header == IPPROTO_AH || header == IPPROTO_MH;
}

static __always_inline enum parsed parse_ipv6(struct __sk_buff *skb, struct packet *packet)
{
	struct ipv6hdr header;
	struct extension extension;
	__u32 offset = sizeof(header);

	if (load(skb, 0, &header, sizeof(header)))
		return PARSED_UNREADABLE;
	__u8 next = header.nexthdr;

	for (int i = 0; i < EXTENSIONS_MAX && is_extension(next); i++) {
		if (load(skb, offset, &extension, sizeof(extension)))
			return PARSED_UNREADABLE;
		if (next == IPPROTO_FRAGMENT) {
			__be16 fragment_be;

			if (load(skb, offset + 2, &fragment_be, sizeof(fragment_be)))
				return PARSED_UNREADABLE;
			/* A later fragment: what it belongs to cannot be read here. */
			if (fragment_be & bpf_htons(0xfff8))
				return extension.next == IPPROTO_TCP || is_extension(extension.next) ?
					       PARSED_UNREADABLE :
					       PARSED_NOT_TCP;
			offset += 8;
		} else if (next == IPPROTO_AH) {
			offset += (extension.length + 2) * 4;
		} else {
			offset += (extension.length + 1) * 8;
		}
		next = extension.next;
	}
	/* More headers than anybody honest sends. */
	if (is_extension(next))
		return PARSED_UNREADABLE;
	if (next != IPPROTO_TCP)
		return PARSED_NOT_TCP;
	__builtin_memcpy(packet->remote.bytes, &header.daddr, sizeof(header.daddr));
	packet->tcp_offset = offset;
	return PARSED_TCP;
}

/* Answers to a probe or to an excluded client may leave; a new connection may not use that door. */
static __always_inline int passes(struct __sk_buff *skb, const struct packet *packet)
{
	struct {
		__be16 source_be;
		__be16 destination_be;
	} ports;
	__u8 flags;

	if (load(skb, packet->tcp_offset, &ports, sizeof(ports)) ||
	    load(skb, packet->tcp_offset + TCP_FLAGS_OFFSET, &flags, sizeof(flags)))
		return 0;
	if (passes_port(DIRECTION_OUTBOUND, ports.destination_be) || passes_block(DIRECTION_OUTBOUND, &packet->remote))
		return 1;
	if ((flags & (TCP_SYN | TCP_ACK)) == TCP_SYN)
		return 0;
	return passes_probe(&packet->remote, ports.source_be) || passes_port(DIRECTION_INBOUND, ports.source_be) ||
	       passes_block(DIRECTION_INBOUND, &packet->remote);
}

SEC("tc")
int culvert_guard(struct __sk_buff *skb)
{
	struct packet packet = {};
	enum parsed parsed = PARSED_NOT_TCP;

	if (skb->mark == ztunnel_mark || skb->mark == kept_mark)
		return GUARD_PASS;
	if (skb->protocol == bpf_htons(ETH_P_IP))
		parsed = parse_ipv4(skb, &packet);
	else if (skb->protocol == bpf_htons(ETH_P_IPV6))
		parsed = parse_ipv6(skb, &packet);
	if (parsed == PARSED_NOT_TCP)
		return GUARD_PASS;
	/* The pod left the mesh; what is still captured runs over lo and is not seen here. */
	if (is_released()) {
		count(COUNTER_guard_released_passed);
		return GUARD_PASS;
	}
	/* Fails closed: what cannot be read may be TCP. */
	if (parsed == PARSED_UNREADABLE) {
		count(COUNTER_guard_unparsed_dropped);
		return GUARD_DROP;
	}
	if (passes(skb, &packet)) {
		count(COUNTER_guard_excluded_passed);
		return GUARD_PASS;
	}
	count(COUNTER_guard_dropped);
	return GUARD_DROP;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
