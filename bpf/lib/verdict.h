/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 * Cached verdicts. The kernel evaluates no policy: what it does not find here it asks the agent. */
#pragma once
#include "../abi/verdict.h"
#include "workload.h"

/* LRU: a full cache forgets what nobody asked for lately, and forgetting is only slower, never wrong. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536);
	__type(key, struct weft_verdict_key);
	__type(value, struct weft_verdict);
} verdicts SEC(".maps");

enum cached_verdict {
	VERDICT_UNKNOWN, /* none, or one from before the last change of policy */
	VERDICT_ALLOW,
	VERDICT_DENY,
};

/* A verdict counts in its own generation only: raising one number makes every old verdict a miss at once, without
 * walking the map. `source_id` 0 stands for every peer without identity. */
static __always_inline enum cached_verdict cached_verdict(__u32 source_id, __u32 destination_id, __u16 port, __u32 generation)
{
	struct weft_verdict_key key = { .source_id = source_id, .destination_id = destination_id, .port = port };
	const struct weft_verdict *verdict = bpf_map_lookup_elem(&verdicts, &key);

	if (!verdict || verdict->generation != generation)
		return VERDICT_UNKNOWN;
	return verdict->allow ? VERDICT_ALLOW : VERDICT_DENY;
}

/* For peers without identity: allowed where nothing restricts them, else what is cached for this port. */
static __always_inline enum cached_verdict plaintext_verdict(const struct weft_address *address, __u16 port, __u32 generation)
{
	if (address->flags & WEFT_ADDRESS_PLAINTEXT_OPEN)
		return VERDICT_ALLOW;
	return cached_verdict(0, address->id, port, generation);
}
