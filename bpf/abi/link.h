/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 * Links of workloads: what the host knows of the interface by which a workload's frames reach it. */
#pragma once
#include "types.h"

/* Value of `links`; key: index of the host's interface. Who lives behind it stands in `workloads`, under the cookie: while
 * that has no entry, nothing passes. */
struct weft_link {
	__u64 netns_cookie;
	__u8 mac[6];
	__u8 pad0[2];
	/* For each reason from WEFT_REASON_LINK_FRAME to WEFT_REASON_LINK_CLEAR, in their order: a number that only rises … */
	__u64 dropped[5];
	__u64 told_ns[5]; /* … and the CLOCK_MONOTONIC of its last event */
};
WEFT_SIZE(struct weft_link, 96);
