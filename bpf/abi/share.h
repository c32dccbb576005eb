/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 * What each workload may hold of what all share, and what it holds. */
#pragma once
#include "types.h"

/* Value of `shares`; key: workload id. The one entry of `total_share` is the sum over the node, of which only the two
 * counts are used. Signed: a count that loses its socket to a former schema may fall below zero, and is then small. */
struct weft_share {
	__s32 live;    /* open connections of which the kernel alone keeps the record */
	__s32 carried; /* open connections that were handed to the agent */
	__u32 events;  /* refusals that were reported in the present window */
	__u32 ends;    /* connections whose end was reported in it */
	__u64 window_ns; /* when that window began, CLOCK_MONOTONIC */
};
WEFT_SIZE(struct weft_share, 24);

/* The one entry of `limits`, written by the agent. A workload may hold what is assured to it, and more while the whole
 * node holds less than `open`; 0 in `open` or `events`: not limited (yet). */
struct weft_limits {
	__s32 live_assured;
	__s32 live_open;
	__s32 carried_assured;
	__s32 carried_open;
	__u32 events; /* refusals reported of one workload in one window, and as many ends of connections */
	__u32 pad0;
};
WEFT_SIZE(struct weft_limits, 24);

/* Key of `untold`, whose value counts refusals that were not reported one by one. */
struct weft_untold_key {
	__u32 workload_id; /* whose doing it was; 0: nobody's that is known */
	__u16 reason;      /* enum weft_reason */
	__u16 hook;        /* enum weft_hook */
};
WEFT_SIZE(struct weft_untold_key, 8);
