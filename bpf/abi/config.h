/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 * What holds for the whole node. */
#pragma once
#include "types.h"

enum weft_config_flag {
	/* The address maps do not hold the whole mesh (before the first sync, or a map is full): unknown destinations
	 * go to the agent, which knows, instead of passing in plain text. */
	WEFT_CONFIG_INCOMPLETE = 1,
	/* Datagrams to workloads of other nodes may go in clear: the operator said so. */
	WEFT_CONFIG_DATAGRAMS_CLEAR = 2,
};

/* The one entry of `config`. */
struct weft_config {
	enum weft_schema schema;
	__u32 generation; /* verdicts of another generation are misses */
	enum weft_config_flag flags;
	__u16 outbound_port; /* the agent's listeners inside each workload … */
	__u16 plaintext_port;
	__u16 hbone_port;
	__u16 dns_port;
	__u16 waypoint_port; /* … and where a waypoint takes clients of its own node */
	__u16 pad0;
	__u32 last_id; /* the highest number given so far: the next agent goes on after it, whatever the maps have lost */
};
WEFT_SIZE(struct weft_config, 28);
