/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 * Datagrams to services: what an unconnected socket has sent where, so that a flow stays with its backend. */
#pragma once
#include "types.h"

/* Datagrams of one socket to one port of a service. */
struct weft_datagram_flow {
	struct weft_ip dialled;
	struct weft_ip backend;
	__u16 dialled_port; /* 0: there is none */
	__u16 backend_port;
	__u32 set_id; /* of `backends`: the flow holds while the slot is this backend's */
	__u32 slot;
};
WEFT_SIZE(struct weft_datagram_flow, 44);

/* Kept on the socket (`datagrams`): services that it talks to at a time; one more takes the place of the oldest. */
struct weft_datagrams {
	__u32 next; /* whose place the next one takes */
	__u32 last; /* by which the last one went: two services may have one backend */
	struct weft_datagram_flow flows[4];
};
WEFT_SIZE(struct weft_datagrams, 184);
