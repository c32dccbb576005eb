/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 * What happened how often, for user space to read. */
#pragma once
#include "../abi/event.h"
#include "base.h"

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, WEFT_COUNTERS);
	__type(key, __u32);
	__type(value, __u64);
} counters SEC(".maps");

/* The slot is this CPU's own, so a plain addition will do; one that is lost to a softirq in its middle is a number
 * wrong by one. */
static __always_inline void count(__u32 what)
{
	__u64 *value = bpf_map_lookup_elem(&counters, &what);
	if (value)
		*value += 1;
}
