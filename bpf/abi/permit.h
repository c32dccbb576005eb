/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 * Destinations that a workload may reach because nameservers answered them for a name that the mesh knows. */
#pragma once
#include "types.h"

/* Key of `permits`. */
struct weft_permit_key {
	__u32 source_id;
	__u16 port;
	__u16 pad0;
	struct weft_ip ip;
};
WEFT_SIZE(struct weft_permit_key, 24);

struct weft_permit {
	__u64 until_ns; /* of the monotonic clock */
	char name[256]; /* that was asked for; NUL-terminated, for readers in user space */
};
WEFT_SIZE(struct weft_permit, 264);
