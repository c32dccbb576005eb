/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 * What a workload that may only reach the mesh may reach by name: addresses that it was answered, for a while. */
#pragma once
#include "../abi/permit.h"
#include "ip.h"

/* A plain hash: one workload's answers must not push out another's. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct weft_permit_key);
	__type(value, struct weft_permit);
} permits SEC(".maps");

/* It ends by itself, whether or not there is an agent that would take it away. */
static __always_inline int is_permitted(__u32 source_id, const struct weft_ip *ip, __u16 port)
{
	struct weft_permit_key key = { .source_id = source_id, .port = port };
	const struct weft_permit *permit;

	COPY_IP(key.ip, *ip);
	permit = bpf_map_lookup_elem(&permits, &key);
	return permit && permit->until_ns > bpf_ktime_get_ns();
}
