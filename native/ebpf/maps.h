/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/* The maps of one pod. Pinned beside each other, so that both programs and the next process share them. */
#ifndef CULVERT_MAPS_H
#define CULVERT_MAPS_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "types.h"

/* A closed listener leaves this map by itself: no ztunnel, no entry, no traffic. */
struct {
	__uint(type, BPF_MAP_TYPE_SOCKMAP);
	__uint(max_entries, LISTENER_COUNT);
	__type(key, __u32);
	__type(value, __u64);
} listeners SEC(".maps");

/* Every address of the namespace; 127.0.0.0/8 and ::1 need no entry. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct address);
	__type(value, __u8);
} own_addresses SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct probe_key);
	__type(value, __u8);
} pass_probes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct port_key);
	__type(value, __u8);
} pass_ports SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 1024);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct block_key);
	__type(value, __u8);
} pass_blocks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, COUNTER_COUNT);
	__type(key, __u32);
	__type(value, __u64);
} counters SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct pod_state);
} state SEC(".maps");

/* By interface index. Read and written by the addon alone: it rides here to be pinned with the rest. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 256);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, struct saved_link);
} saved_links SEC(".maps");

static __always_inline void count(enum counter which)
{
	__u32 key = which;
	__u64 *counter = bpf_map_lookup_elem(&counters, &key);

	if (counter)
		*counter += 1;
}

static __always_inline int is_released(void)
{
	__u32 key = 0;
	struct pod_state *pod = bpf_map_lookup_elem(&state, &key);

	return pod && pod->phase == PHASE_RELEASED;
}

static __always_inline struct address mapped_address(__be32 address_be)
{
	struct address address = {};

	address.bytes[10] = 0xff;
	address.bytes[11] = 0xff;
	__builtin_memcpy(&address.bytes[12], &address_be, sizeof(address_be));
	return address;
}

static __always_inline int passes_port(enum direction direction, __be16 port_be)
{
	struct port_key key = { .port_be = port_be, .direction = direction };

	return bpf_map_lookup_elem(&pass_ports, &key) != 0;
}

static __always_inline int passes_block(enum direction direction, const struct address *remote)
{
	struct block_key key = { .prefix_bits = BLOCK_DIRECTION_BITS + 128, .direction = direction };

	__builtin_memcpy(key.bytes, remote->bytes, sizeof(key.bytes));
	return bpf_map_lookup_elem(&pass_blocks, &key) != 0;
}

static __always_inline int passes_probe(const struct address *node, __be16 port_be)
{
	struct probe_key key = { .node = *node, .port_be = port_be };

	return bpf_map_lookup_elem(&pass_probes, &key) != 0;
}

#endif
