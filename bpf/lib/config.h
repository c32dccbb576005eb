/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 * The configuration of the node: one entry, written by the agent, read once per decision so that a decision never
 * mixes two generations. */
#pragma once
#include "../abi/config.h"
#include "base.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct weft_config);
} config SEC(".maps");

/* Null until an agent has written it, and should it be wiped: every program then refuses what it would have decided. */
static __always_inline const struct weft_config *the_config(void)
{
	__u32 zero = 0;
	const struct weft_config *written = bpf_map_lookup_elem(&config, &zero);

	return written && written->schema ? written : 0;
}
