/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 * Refusal events. A lost event never changes a decision. */
#pragma once
#include "counters.h"
#include "share.h"

/* 1 MiB: some 16,000 refusals between two reads of the agent. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20);
} events SEC(".maps");

/* Refusals that were not reported one by one, so that none is missing in the metrics. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct weft_untold_key);
	__type(value, __u64);
} untold SEC(".maps");

/* A second: as often as the agent can be told anew of one workload. */
#define EVENT_WINDOW_NS 1000000000ULL

/* What of a workload is reported in the present window; null: there is no bound. */
static __always_inline struct weft_share *present_window(__u32 id, __u64 now_ns)
{
	struct weft_share *share = share_of(id);

	if (share && now_ns - share->window_ns >= EVENT_WINDOW_NS) {
		share->window_ns = now_ns;
		share->events = 0;
		share->ends = 0;
	}
	return share;
}

/* Whether this refusal is reported: the first of a window are. The rest would hold the agent's thread, and it is one
 * workload's doing whom everyone else then waits for. */
static __always_inline int is_told(__u32 id, __u64 now_ns)
{
	const struct weft_limits *limits = the_limits();
	struct weft_share *share = present_window(id, now_ns);

	if (!share || !limits || limits->events == 0)
		return 1;
	if (share->events >= limits->events)
		return 0;
	share->events += 1;
	return 1;
}

/* The same of the end of a connection. */
static __always_inline int is_end_told(__u32 id, __u64 now_ns)
{
	const struct weft_limits *limits = the_limits();
	struct weft_share *share = present_window(id, now_ns);

	if (!share || !limits || limits->events == 0)
		return 1;
	if (share->ends >= limits->events)
		return 0;
	share->ends += 1;
	return 1;
}

static __always_inline void leave_untold(__u32 id, enum weft_hook hook, enum weft_reason reason)
{
	struct weft_untold_key key = { .workload_id = id, .reason = reason, .hook = hook };
	__u64 none = 0, *times = bpf_map_lookup_elem(&untold, &key);

	if (!times) {
		bpf_map_update_elem(&untold, &key, &none, BPF_NOEXIST);
		times = bpf_map_lookup_elem(&untold, &key);
	}
	if (times)
		__sync_fetch_and_add(times, 1);
}

/* Reports whatever the window says: the agent has something to do about it. */
static __always_inline void report_always(struct weft_event *event, enum weft_hook hook, enum weft_reason reason)
{
	__u32 id = event->source_id ? event->source_id : event->destination_id;

	event->hook = hook;
	event->reason = reason;
	if (!bpf_ringbuf_output(&events, event, sizeof(*event), 0))
		return;
	count(WEFT_COUNT_EVENT_LOST);
	leave_untold(id, hook, reason);
}

/* Whose doing it was is the source, and with a stranger the one it wanted to reach.
 * Not inlined: the types of a real function's parameters stand in the BTF, where the test that compares the contract
 * finds the enums. A refusal can afford the call. */
static __noinline __attribute__((unused)) int report(struct weft_event *event, enum weft_hook hook, enum weft_reason reason, enum weft_counter counted)
{
	__u32 id = event->source_id ? event->source_id : event->destination_id;

	count(counted);
	if (is_told(id, event->time_ns))
		report_always(event, hook, reason);
	else
		leave_untold(id, hook, reason);
	return 0;
}
