/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 * Refusal events. A lost event never changes a decision. */
#pragma once
#include "counters.h"

/* 1 MiB: some 16,000 refusals between two reads of the agent. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20);
} events SEC(".maps");

/* Not inlined: the types of a real function's parameters stand in the BTF, where the test that compares the contract
 * finds the enums. A refusal can afford the call. */
static __noinline int report(struct weft_event *event, enum weft_hook hook, enum weft_reason reason, enum weft_counter counted)
{
	event->hook = hook;
	event->reason = reason;
	count(counted);
	if (bpf_ringbuf_output(&events, event, sizeof(*event), 0))
		count(WEFT_COUNT_EVENT_LOST);
	return 0;
}
