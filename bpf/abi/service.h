/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 * Services: what a dialled VIP and port stand for, and where a waypoint of this node listens. */
#pragma once
#include "types.h"

enum weft_service_flag {
	WEFT_SERVICE_AGENT = 1, /* the kernel's slots cannot express it: the agent chooses */
	WEFT_SERVICE_MESH = 2,  /* at port 0: workloads of the mesh stand behind the VIP */
	WEFT_SERVICE_SPLIT = 4, /* a route: it draws from `splits`, which name slots of other services, or a second waypoint */
	WEFT_SERVICE_PASSTHROUGH = 8, /* it has no endpoints: connections go where they were going */
	WEFT_SERVICE_AFFINITY = 16, /* a client stays with its backend, as long as `affinities` says */
};

/* Key of `services`. */
struct weft_service_key {
	struct weft_ip ip;
	__u16 port; /* 0: the VIP exists, whatever the port */
	__u8 protocol;
	__u8 pad0;
};
WEFT_SIZE(struct weft_service_key, 20);

/* Value of `services`. */
struct weft_service {
	__u32 id;
	__u32 backend_count; /* slots 0 … count - 1 of this id, weights already expanded */
	__u32 waypoint_id;   /* 0: none */
	enum weft_service_flag flags;
};
WEFT_SIZE(struct weft_service, 16);

/* Key of `blocks`: a block of addresses stands for a service where nobody has the address itself. */
struct weft_block_key {
	__u32 prefix_length; /* of all that follows, in bits */
	__u32 is_v4;         /* all of IPv6 does not hold IPv4, mapped as it is */
	struct weft_ip ip;
};
WEFT_SIZE(struct weft_block_key, 24);

/* Key of `backends`. */
struct weft_backend_key {
	__u32 service_id;
	__u32 slot;
};
WEFT_SIZE(struct weft_backend_key, 8);

/* Value of `backends`. */
struct weft_backend {
	struct weft_ip ip;
	__u16 port;
	__u16 pad0;
};
WEFT_SIZE(struct weft_backend, 20);

/* Value of `splits`; key: struct weft_backend_key. One share of a route, as often as its weight says. Of a service with a
 * waypoint there is one: `set_id` is a second waypoint, which gets `backend_count` of a hundred connections. */
struct weft_split {
	__u32 set_id;        /* a service_id of `backends` */
	__u32 backend_count; /* 0: this share is refused */
};
WEFT_SIZE(struct weft_split, 8);

/* Key of `sessions`. */
struct weft_session_key {
	__u32 service_id;
	struct weft_ip client;
};
WEFT_SIZE(struct weft_session_key, 20);

/* Value of `sessions`: the backend of a client of a service with session affinity. It holds while it is one. */
struct weft_session {
	__u64 used_ns; /* of the kernel's monotonic clock: when the client opened something the last time */
	struct weft_ip backend;
	__u32 split;  /* of a route: which of its draws */
	__u32 set_id; /* of `backends` */
	__u32 slot;
	__u16 backend_port;
	__u16 pad0;
};
WEFT_SIZE(struct weft_session, 40);

/* Value of `waypoints`; key: waypoint id. An absent entry: not on this node, so the agent reaches it over HBONE or
 * refuses. */
struct weft_waypoint {
	struct weft_ip ip4;
	struct weft_ip ip6;
};
WEFT_SIZE(struct weft_waypoint, 32);
