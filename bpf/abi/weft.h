/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 * Every struct that user space sees. Mirrored by src/platform/bpf/abi.ts; a test compares the mirror with the BTF
 * of the compiled objects. Rules: fixed widths, every padding byte a named field that is always 0 (hash keys compare
 * byte by byte), addresses 16 bytes in network order with IPv4 as v4-mapped, ports in host order. */
#pragma once

/* Raised when the meaning or layout of a pinned map changes: an agent then starts afresh instead of re-using it. */
#define WEFT_SCHEMA 1

struct weft_ip {
	__be32 word[4];
};

struct weft_config {
	__u32 schema;
	__u32 generation; /* verdicts of another generation are misses */
	__u32 flags;      /* WEFT_CONFIG_* */
	__u16 outbound_port;
	__u16 plaintext_port;
	__u16 hbone_port;
	__u16 dns_port;
	__u16 waypoint_port;
	__u16 pad0;
};

/* The address maps do not hold the whole mesh (before the first sync, or a map is full):
 * unknown destinations go to the agent, which knows, instead of passing in plain text. */
#define WEFT_CONFIG_INCOMPLETE 1u

/* key: netns cookie */
struct weft_workload {
	__u32 id;
	__u32 flags;        /* WEFT_WORKLOAD_* */
	struct weft_ip ip4; /* own addresses, zero when the family is absent */
	struct weft_ip ip6;
};

#define WEFT_WORKLOAD_NATIVE_TUNNEL 1u /* speaks HBONE by itself: a waypoint */

/* key: struct weft_ip */
struct weft_address {
	__u32 id;
	__u32 flags;       /* WEFT_ADDRESS_* */
	__u32 waypoint_id; /* workload-addressed traffic goes there; 0: none */
	__u32 pad0;
};

#define WEFT_ADDRESS_LOCAL 1u          /* enrolled on this node */
#define WEFT_ADDRESS_HBONE 2u          /* reached by HBONE from other nodes */
#define WEFT_ADDRESS_PLAINTEXT_OPEN 4u /* no policy restricts inbound traffic: plain text may go straight to the app */

struct weft_service_key {
	struct weft_ip ip;
	__u16 port; /* 0: the VIP exists, whatever the port */
	__u8 protocol;
	__u8 pad0;
};

struct weft_service {
	__u32 id;
	__u32 backend_count; /* slots 0 … count - 1 of this id, weights already expanded */
	__u32 waypoint_id;   /* 0: none */
	__u32 flags;         /* WEFT_SERVICE_* */
};

#define WEFT_SERVICE_AGENT 1u /* the kernel's slots cannot express it: the agent chooses */

struct weft_backend_key {
	__u32 service_id;
	__u32 slot;
};

struct weft_backend {
	struct weft_ip ip;
	__u16 port;
	__u16 pad0;
};

/* key: waypoint id; absent or not local: the agent reaches it over HBONE or refuses */
struct weft_waypoint {
	struct weft_ip ip4;
	struct weft_ip ip6;
};

struct weft_verdict_key {
	__u32 source_id;
	__u32 destination_id;
	__u16 port;
	__u16 pad0;
};

struct weft_verdict {
	__u32 generation;
	__u8 allow;
	__u8 pad0[3];
};

/* A connection as its initiator sees it. */
struct weft_flow {
	__u64 netns_cookie; /* 0 where addresses alone are unique (attested flows) */
	struct weft_ip source;
	struct weft_ip destination;
	__u16 source_port;
	__u16 destination_port;
	__u32 pad0;
};

/* What the kernel knows of a captured or attested connection. */
struct weft_origin {
	__u32 source_id;
	__u32 destination_id;      /* 0: not a workload of the mesh */
	struct weft_ip dialled;    /* what the app asked for */
	struct weft_ip backend;    /* what was chosen, zero when nothing was */
	__u16 dialled_port;
	__u16 backend_port;
	__u16 reason;              /* enum weft_reason */
	__u16 pad0;
};

/* A live connection that no process of ours carries. key: socket cookie */
struct weft_live_flow {
	struct weft_flow flow; /* netns_cookie: of the socket's owner */
	__u32 source_id;       /* 0: plain text from outside the mesh */
	__u32 destination_id;
	__u32 generation;      /* of the verdict that allowed it */
	__u8 inbound;          /* 1: the socket is the accepting side */
	__u8 pad0[3];
};

struct weft_peer_key {
	__u64 netns_cookie;
	struct weft_ip ip; /* local address of the agent's socket */
	__u16 port;
	__u16 pad0;
	__u32 pad1;
};

struct weft_peer {
	struct weft_ip ip; /* the client to present to the app */
	__u16 port;
	__u16 pad0;
};

/* key: workload id; NUL-terminated strings */
struct weft_name {
	char uid[256];
	char identity[512];
};

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
};

enum weft_hook {
	WEFT_HOOK_CONNECT = 1,
	WEFT_HOOK_LOOKUP = 2,
};

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
	WEFT_COUNTERS = 12,
};

/* Kept on the socket (SK_STORAGE). Cannot be migrated: its size and version byte are frozen. */
struct weft_socket {
	__u8 version;
	__u8 presents; /* getpeername answers `ip`:`port` */
	__u16 port;
	struct weft_ip ip; /* what the app dialled, or the client to present */
	__u16 backend_port;
	__u16 reason;
	struct weft_ip backend;
	__u32 source_id;
	__u32 destination_id;
	__u32 generation;
};
