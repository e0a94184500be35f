/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/* What the programs and the addon agree on. Plain types: included by eBPF C and by C++. */
#ifndef CULVERT_TYPES_H
#define CULVERT_TYPES_H

#include <linux/types.h>

/* Raised when a map changes its shape: pins of another layout are replaced, not adopted. */
#define CULVERT_LAYOUT 1

/* Slots of the SOCKMAP. */
enum listener {
	LISTENER_OUTBOUND,
	LISTENER_PLAINTEXT,
	LISTENER_HBONE,
	LISTENER_COUNT,
};

enum phase {
	PHASE_CAPTURED,
	/* New connections go direct; captured ones still run over lo. */
	PHASE_RELEASED,
};

enum direction {
	/* Somebody dials the pod. */
	DIRECTION_INBOUND,
	/* The pod dials somebody. */
	DIRECTION_OUTBOUND,
};

/* Which existing connections are meant, by the interface of their last packet. */
enum traffic_path {
	PATH_ANY,
	/* Leaves out what runs over lo: captured, or the pod talking to itself. */
	PATH_NOT_LOOPBACK,
	/* Heard of from outside. */
	PATH_OUTSIDE,
	PATH_LOOPBACK,
};

/* Every outcome that a program can have, except the two that are most packets: marked, and not TCP. */
#define CULVERT_COUNTERS(X)                                                                                            \
	X(outbound_captured)                                                                                           \
	X(outbound_no_listener)                                                                                        \
	X(inside_passed)                                                                                               \
	X(hbone_captured)                                                                                              \
	X(hbone_no_listener)                                                                                           \
	X(inbound_captured)                                                                                            \
	X(inbound_no_listener)                                                                                         \
	X(inbound_probe_passed)                                                                                        \
	X(inbound_excluded_passed)                                                                                     \
	X(inbound_released_passed)                                                                                     \
	X(assign_failed)                                                                                               \
	X(guard_dropped)                                                                                               \
	X(guard_unparsed_dropped)                                                                                      \
	X(guard_excluded_passed)                                                                                       \
	X(guard_released_passed)

enum counter {
#define X(name) COUNTER_##name,
	CULVERT_COUNTERS(X)
#undef X
		COUNTER_COUNT,
};

/* An address of either family, IPv4 as ::ffff:a.b.c.d, network order. */
struct address {
	__u8 bytes[16];
};

/* A probe port of the pod, open to one node address. */
struct probe_key {
	struct address node;
	__be16 port_be;
	__u8 pad[2];
};

struct port_key {
	__be16 port_be;
	__u8 direction;
	__u8 pad;
};

/* LPM key: the direction is part of the prefix, so both directions live in one trie. */
struct block_key {
	__u32 prefix_bits;
	__u8 direction;
	__u8 bytes[16];
	__u8 pad[3];
};
#define BLOCK_DIRECTION_BITS 8

/* What a later process must know to adopt or to undo. Only `phase` is read by programs. */
struct pod_state {
	__u64 netns_cookie;
	__u32 phase;
	__u32 layout;
	__u32 moved_local_rule; /* bit 0: IPv4, bit 1: IPv6 */
	__u32 pad;
};

/* Settings of an interface before capture. */
struct saved_link {
	__u32 rp_filter;
	__u32 accept_local;
	__u32 made_clsact;
};

#endif
