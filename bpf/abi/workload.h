/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 * Workloads: those enrolled on this node by network namespace, all of the mesh by address. */
#pragma once
#include "types.h"

enum weft_workload_flag {
	WEFT_WORKLOAD_NATIVE_TUNNEL = 1, /* speaks HBONE by itself: a waypoint */
	WEFT_WORKLOAD_REGISTRY_ONLY = 2, /* opens nothing to destinations that the mesh does not know */
	WEFT_WORKLOAD_OWN_DNS = 4, /* what it asks nameservers goes to these, and not to the agent */
};

/* Value of `workloads`; key: netns cookie. */
struct weft_workload {
	__u32 id; /* of this enrolment: another one gets another number, which is never given twice while the maps are pinned */
	enum weft_workload_flag flags;
	struct weft_ip ip4; /* own addresses, zero when the family is absent */
	struct weft_ip ip6;
};
WEFT_SIZE(struct weft_workload, 40);

enum weft_address_flag {
	WEFT_ADDRESS_LOCAL = 1,          /* enrolled on this node */
	WEFT_ADDRESS_HBONE = 2,          /* reached by HBONE from other nodes */
	WEFT_ADDRESS_PLAINTEXT_OPEN = 4, /* no policy restricts inbound traffic: plain text may go straight to the app */
	WEFT_ADDRESS_OUTSIDE = 8,        /* nobody of the mesh has it, where unknown addresses are asked for; id 0 */
};

/* Value of `addresses`; key: struct weft_ip. */
struct weft_address {
	__u32 id;
	enum weft_address_flag flags;
	__u32 waypoint_id; /* workload-addressed traffic goes there; 0: none */
	__u32 pad0;
};
WEFT_SIZE(struct weft_address, 16);

/* Value of `names`; key: workload id. NUL-terminated strings, for readers in user space. */
struct weft_name {
	char uid[256];
	char identity[512];
};
WEFT_SIZE(struct weft_name, 768);
