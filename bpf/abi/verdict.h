/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 * The cache of policy: the agent's answers, never a decision of the kernel's own. */
#pragma once
#include "types.h"

/* Key of `verdicts`. */
struct weft_verdict_key {
	__u32 source_id; /* 0: a peer without identity */
	__u32 destination_id;
	__u16 port; /* of the workload, not of a service before it */
	__u16 pad0;
};
WEFT_SIZE(struct weft_verdict_key, 12);

/* Value of `verdicts`. */
struct weft_verdict {
	__u32 generation; /* a miss unless it equals the configuration's */
	__u8 allow;
	__u8 pad0[3];
};
WEFT_SIZE(struct weft_verdict, 8);
