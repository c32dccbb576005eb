/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 * Shares: no workload may fill what all of the node use, so a full table refuses the one who filled it. A socket counts
 * once, from before its SYN (or from its arrival) to its end, and remembers on itself that it does. */
#pragma once
#include "../abi/share.h"
#include "socket.h"

/* Made by the first who counts, removed by the agent when the workload leaves. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8192);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, struct weft_share);
} shares SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct weft_share);
} total_share SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct weft_limits);
} limits SEC(".maps");

static __always_inline const struct weft_limits *the_limits(void)
{
	__u32 zero = 0;
	return bpf_map_lookup_elem(&limits, &zero);
}

static __always_inline struct weft_share *total_share_of_node(void)
{
	__u32 zero = 0;
	return bpf_map_lookup_elem(&total_share, &zero);
}

/* Null only when there is no memory for it. */
static __always_inline struct weft_share *share_of(__u32 id)
{
	struct weft_share *share = bpf_map_lookup_elem(&shares, &id);
	struct weft_share fresh = {};

	if (share)
		return share;
	bpf_map_update_elem(&shares, &id, &fresh, BPF_NOEXIST);
	return bpf_map_lookup_elem(&shares, &id);
}

/* `kind`: WEFT_SOCKET_LIVE or WEFT_SOCKET_CARRIED, a constant at each call. */
static __always_inline __s32 held(const struct weft_share *share, const int kind)
{
	return kind == WEFT_SOCKET_LIVE ? share->live : share->carried;
}

static __always_inline int fits(const struct weft_share *own, const int kind)
{
	const struct weft_limits *limits = the_limits();
	const struct weft_share *total = total_share_of_node();
	__s32 open, assured;

	if (!limits || !total)
		return 0;
	open = kind == WEFT_SOCKET_LIVE ? limits->live_open : limits->carried_open;
	assured = kind == WEFT_SOCKET_LIVE ? limits->live_assured : limits->carried_assured;
	return open == 0 || held(own, kind) < assured || held(total, kind) < open;
}

/* Whether one more connection of this workload has room. Asked where a refusal can still be told; who counts later asks
 * again, so that nothing is let in between. */
static __always_inline int has_room(__u32 id, const int kind)
{
	const struct weft_share *own = bpf_map_lookup_elem(&shares, &id);
	struct weft_share nothing = {};

	return fits(own ? own : &nothing, kind);
}

static __always_inline void add_to(struct weft_share *share, const int kind, const __s32 by)
{
	if (kind == WEFT_SOCKET_LIVE)
		__sync_fetch_and_add(&share->live, by);
	else
		__sync_fetch_and_add(&share->carried, by);
}

/* Counts the socket for the workload; 0, or not when it has no room. `forced`: it is there already, so it counts whether
 * there is room or not. Two CPUs that ask at once may both be let in: a share is exceeded by their number at most. */
static __always_inline int take_share(struct weft_socket *kept, __u32 id, const int kind, const int forced)
{
	struct weft_share *own = share_of(id);
	struct weft_share *total = total_share_of_node();

	if (kept->flags & (WEFT_SOCKET_LIVE | WEFT_SOCKET_CARRIED))
		return 0;
	if (!own || !total || (!forced && !fits(own, kind)))
		return -1;
	add_to(own, kind, 1);
	add_to(total, kind, 1);
	kept->flags |= kind;
	return 0;
}

static __always_inline void give_back_share(struct weft_socket *kept)
{
	__u32 id = kept->source_id ? kept->source_id : kept->destination_id;
	struct weft_share *own, *total = total_share_of_node();
	int live = kept->flags & WEFT_SOCKET_LIVE;

	if (!(kept->flags & (WEFT_SOCKET_LIVE | WEFT_SOCKET_CARRIED)))
		return;
	kept->flags &= ~(WEFT_SOCKET_LIVE | WEFT_SOCKET_CARRIED);
	own = bpf_map_lookup_elem(&shares, &id); /* gone when the workload left before its socket ended */
	if (own)
		add_to(own, live ? WEFT_SOCKET_LIVE : WEFT_SOCKET_CARRIED, -1);
	if (total)
		add_to(total, live ? WEFT_SOCKET_LIVE : WEFT_SOCKET_CARRIED, -1);
}
