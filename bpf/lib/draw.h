/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 * Backends of services, and the draw of one. */
#pragma once
#include "../abi/service.h"
#include "ip.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 524288);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct weft_backend_key);
	__type(value, struct weft_backend);
} backends SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 131072);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct weft_backend_key);
	__type(value, struct weft_split);
} splits SEC(".maps");

/* What a dialled address and port turn out to be. */
enum choice {
	CHOICE_NO_SERVICE, /* no VIP: the address itself is meant */
	CHOICE_PASSTHROUGH, /* the same, by a service that says so */
	CHOICE_BACKEND,    /* *backend_ip and *backend_port are written */
	CHOICE_WAYPOINT,   /* *waypoint_id is written */
	CHOICE_AGENT,
	CHOICE_NO_SUCH_PORT,
	CHOICE_NO_BACKEND,
};

/* Draws one of the slots below the count, in a set of its own that a route may lead to first: by *split_slot. */
static __always_inline enum choice draw_backend(const struct weft_service *service, struct weft_backend_key *slot,
						__u32 *split_slot, const struct weft_backend **drawn)
{
	__u32 backend_count = service->backend_count;
	const struct weft_split *split;

	if (backend_count == 0)
		return CHOICE_NO_BACKEND;
	slot->service_id = service->id;
	slot->slot = bpf_get_prandom_u32() % backend_count;
	if (service->flags & WEFT_SERVICE_SPLIT) {
		*split_slot = slot->slot;
		split = bpf_map_lookup_elem(&splits, slot);
		if (!split)
			return CHOICE_AGENT;
		backend_count = split->backend_count;
		if (backend_count == 0)
			return CHOICE_NO_BACKEND;
		slot->service_id = split->set_id;
		slot->slot = bpf_get_prandom_u32() % backend_count;
	}
	*drawn = bpf_map_lookup_elem(&backends, slot);
	return *drawn ? CHOICE_BACKEND : CHOICE_AGENT; /* the table is being replaced: the agent has the whole of it */
}
