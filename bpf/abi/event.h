/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 * What the programs tell user space: reasons, refusals, counters. */
#pragma once
#include "types.h"

/* Why a connection took its path, or why it was refused. */
enum weft_reason {
	WEFT_REASON_NONE = 0,
	WEFT_REASON_DIRECT = 1,
	WEFT_REASON_EVALUATE = 2,
	WEFT_REASON_HBONE = 3,
	WEFT_REASON_WAYPOINT = 4,
	WEFT_REASON_UNKNOWN_DESTINATION = 5, /* maps incomplete */
	WEFT_REASON_AGENT_SERVICE = 6,
	WEFT_REASON_DNS = 7,
	/* refusals */
	WEFT_REASON_DENIED = 16,
	WEFT_REASON_NO_BACKEND = 17,
	WEFT_REASON_NO_SUCH_PORT = 18,
	WEFT_REASON_NO_MEMORY = 19,
	WEFT_REASON_RESERVED_PORT = 20,
	WEFT_REASON_NO_AGENT = 21,
	WEFT_REASON_NOT_LOCAL = 22,
	WEFT_REASON_NOT_ATTESTED = 23, /* from a workload of this node, but not as the kernel let it go */
	WEFT_REASON_SHARE = 24, /* the workload holds its share of what all use */
	WEFT_REASON_DATAGRAM = 32, /* nothing would encrypt it on its way to another node */
	WEFT_REASON_LINK_FRAME = 33, /* neither IPv4, IPv6 nor ARP, or not whole */
	WEFT_REASON_LINK_SOURCE = 34,
	WEFT_REASON_LINK_NEIGHBOUR = 35,
	WEFT_REASON_LINK_GROUP = 36,
	WEFT_REASON_LINK_CLEAR = 37,
	WEFT_REASON_UNKNOWN_MESH = 38,
	WEFT_REASON_NOT_REGISTERED = 39, /* the workload's namespace is for destinations that the mesh knows */
};

/* Which program reported an event. */
enum weft_hook {
	WEFT_HOOK_CONNECT = 1,
	WEFT_HOOK_LOOKUP = 2,
	WEFT_HOOK_BIND = 3,
	WEFT_HOOK_LINK = 4,
	WEFT_HOOK_FLOW = 8,
};

/* A record of the `events` ring: one refusal. */
struct weft_event {
	__u64 time_ns; /* CLOCK_MONOTONIC */
	__u32 source_id;
	__u32 destination_id;
	struct weft_ip source; /* zero for outbound refusals */
	struct weft_ip destination;
	__u16 source_port;
	__u16 destination_port;
	__u16 reason; /* enum weft_reason */
	__u16 hook;   /* enum weft_hook */
};
WEFT_SIZE(struct weft_event, 56);

/* Index into `counters`. */
enum weft_counter {
	WEFT_COUNT_DIRECT = 0,
	WEFT_COUNT_CAPTURED = 1,
	WEFT_COUNT_WAYPOINT = 2,
	WEFT_COUNT_PASSTHROUGH = 3,
	WEFT_COUNT_REFUSED = 4,
	WEFT_COUNT_DNS = 5,
	WEFT_COUNT_INBOUND_ATTESTED = 6,
	WEFT_COUNT_INBOUND_OPEN = 7,
	WEFT_COUNT_INBOUND_AGENT = 8,
	WEFT_COUNT_INBOUND_REFUSED = 9,
	WEFT_COUNT_EVENT_LOST = 10,
	WEFT_COUNT_MAP_FULL = 11,
	WEFT_COUNT_INBOUND_LATE = 12, /* established after a change of policy, from a SYN before it */
	WEFT_COUNT_LINK_DROPPED = 13,
	WEFT_COUNTERS = 14, /* how many there are */
};
