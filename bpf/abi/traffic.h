/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 * What the kernel counts of connections that no process carries, and what it tells of each when it ends. */
#pragma once
#include "flow.h"

/* Key of `traffic`. All zero: what found no place of its own. */
struct weft_traffic_key {
	__u32 source_id;      /* 0: plain text from outside the mesh */
	__u32 destination_id; /* 0: no workload of the mesh */
	struct weft_ip vip;   /* what was dialled, where that is not the endpoint itself; else zero */
	__u16 reason;         /* enum weft_reason: direct, waypoint, or none */
	__u16 inbound;        /* 1: told by the accepting side */
};
WEFT_SIZE(struct weft_traffic_key, 28);

/* Bytes of payload, by who sent them: what the peer has acknowledged, and what has arrived. */
struct weft_traffic {
	__u64 opened;
	__u64 closed;
	__u64 failed; /* never established */
	__u64 from_client;
	__u64 from_server;
	__u64 retransmits; /* segments */
};
WEFT_SIZE(struct weft_traffic, 48);

/* A record of the `ended` ring: one connection. */
struct weft_ended {
	__u64 socket_cookie;
	__u64 from_client;
	__u64 from_server;
	struct weft_flow flow;
	struct weft_ip dialled; /* zero where the accepting side tells */
	__u32 source_id;
	__u32 destination_id;
	__u32 duration_ms;
	__u32 rtt_us; /* smoothed, at the end */
	__u32 retransmits;
	__u16 dialled_port;
	__u16 reason;
	__u8 inbound;
	__u8 state; /* the TCP state that it ended in */
	__u8 pad0[6];
};
WEFT_SIZE(struct weft_ended, 120);
