/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 * Connections: what the kernel remembers of each, from connect() to its end. */
#pragma once
#include "types.h"

/* A connection as its initiator sees it. Key of `attested` and `captured`. */
struct weft_flow {
	__u64 netns_cookie; /* 0 where addresses alone are unique (attested flows) */
	struct weft_ip source;
	struct weft_ip destination;
	__u16 source_port;
	__u16 destination_port;
	__u32 pad0;
};
WEFT_SIZE(struct weft_flow, 48);

/* What became of the one connection that a record of `attested` lets in. */
enum weft_taken {
	WEFT_TAKEN_NOT = 0,
	WEFT_TAKEN_BY_ONE = 1, /* established: another SYN of these ends needs a record of its own */
	WEFT_TAKEN_TOLD = 2,   /* and one that came without was told */
};

/* What the kernel knows of a captured or attested connection. */
struct weft_origin {
	__u32 source_id;
	__u32 destination_id;   /* the enrolment that is meant; 0: not a workload of the mesh */
	struct weft_ip dialled; /* what the app asked for */
	struct weft_ip backend; /* what was chosen, zero when nothing was */
	__u16 dialled_port;
	__u16 backend_port;
	__u16 reason; /* enum weft_reason */
	__u16 pad0;
	enum weft_taken taken;
	__u32 generation; /* of the decision */
};
WEFT_SIZE(struct weft_origin, 56);

/* A live connection that no process of ours carries. Value of `flows`; key: socket cookie. */
struct weft_live_flow {
	struct weft_flow flow; /* netns_cookie: of the socket's owner */
	__u32 source_id;       /* 0: plain text from outside the mesh */
	__u32 destination_id;
	__u32 generation; /* of the verdict that allowed it */
	__u8 inbound;     /* 1: the socket is the accepting side */
	__u8 pad0[3];
};
WEFT_SIZE(struct weft_live_flow, 64);

/* Key of `peers`: a socket of the agent, by its local end. */
struct weft_peer_key {
	__u64 netns_cookie;
	struct weft_ip ip;
	__u16 port;
	__u16 pad0;
	__u32 pad1;
};
WEFT_SIZE(struct weft_peer_key, 32);

/* Value of `peers`: the client to present to the app. */
struct weft_peer {
	struct weft_ip ip;
	__u16 port;
	__u16 pad0;
};
WEFT_SIZE(struct weft_peer, 20);

enum weft_socket_flag {
	WEFT_SOCKET_PRESENTS = 1, /* getpeername answers `ip`:`port` */
	WEFT_SOCKET_LIVE = 2,     /* counts among the live connections of a workload's share: its opener's, or else its own */
	WEFT_SOCKET_CARRIED = 4,  /* counts among those that its opener handed to the agent */
	WEFT_SOCKET_ACCOUNTED = 8, /* its end is to be counted; `backend` holds when it was opened, CLOCK_MONOTONIC ns */
	WEFT_SOCKET_VIP = 16,     /* what was dialled is not the endpoint */
};

/* Kept on the socket (`sockets`). Lives as long as the socket, so an agent of a newer version meets the old layout:
 * its size and version byte are frozen. */
struct weft_socket {
	__u8 version;  /* enum weft_schema */
	__u8 flags;    /* enum weft_socket_flag */
	__u16 port;
	struct weft_ip ip; /* what the app dialled, or the client to present */
	__u16 backend_port;
	__u16 reason; /* enum weft_reason */
	struct weft_ip backend;
	__u32 source_id;
	__u32 destination_id;
	__u32 generation;
};
WEFT_SIZE(struct weft_socket, 52);
