/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 * Who opened a connection and what was meant by it, written before its SYN leaves. Only the kernel writes these maps,
 * so no app can pose as another by address, port or timing. */
#pragma once
#include "../abi/event.h"
#include "../abi/flow.h"
#include "base.h"

/* Flows between two sockets of this node that no process of ours carries. Read by the arrival hook, which lets each in
 * once, and by waypoints. The netns cookie is 0: the accepting side cannot know the opener's. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536);
	__type(key, struct weft_flow);
	__type(value, struct weft_origin);
} attested SEC(".maps");

/* Flows that were sent to the agent, which takes the record when it accepts. The cookie tells apart namespaces that
 * use the same addresses. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536);
	__type(key, struct weft_flow);
	__type(value, struct weft_origin);
} captured SEC(".maps");

/* Told by the port that the connection really goes to, not by its reason: a connection for a waypoint goes either to
 * the waypoint or to the agent. DNS goes to a port of its own and needs no record. */
static __always_inline int is_captured(__u16 destination_port, __u16 outbound_port)
{
	return destination_port == outbound_port;
}

/* Whether the accepting side may trust where the connection comes from: an allowed pair of this node, or a waypoint
 * of this node, which asks for itself. */
static __always_inline int is_attested(__u16 reason)
{
	return reason == WEFT_REASON_DIRECT || reason == WEFT_REASON_WAYPOINT;
}
