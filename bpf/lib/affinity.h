/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 * Session affinity: a client of a service stays with its backend while that is one, until the client was silent for too long. */
#pragma once
#include "draw.h"

/* By service id: how long a client may be silent, in seconds. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 131072);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, __u32);
} affinities SEC(".maps");

/* Who is pushed out by many others is drawn for anew. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 32768);
	__type(key, struct weft_session_key);
	__type(value, struct weft_session);
} sessions SEC(".maps");

/* A backend that moved to another slot, as another one left, is looked for in so many: a few, since the verifier walks each. */
#define SESSION_SLOTS 8

static __always_inline const struct weft_backend *backend_of_session(const struct weft_backend_key *slot,
								     const struct weft_session *session)
{
	const struct weft_backend *backend = bpf_map_lookup_elem(&backends, slot);

	__u32 differs;

	if (!backend)
		return 0;
	/* Without branches: each doubles what the verifier has to walk, for every slot that is looked at. */
	differs = backend->port ^ session->backend_port;
	for (int at = 0; at < 4; at++)
		differs |= backend->ip.word[at] ^ session->backend.word[at];
	return differs ? 0 : backend;
}

/* The slot that is the backend of the session now; `count`: none. */
static __noinline __u32 slot_of_session(const struct weft_session *session, __u32 set_id, __u32 count)
{
	struct weft_backend_key slot = { .service_id = set_id };

	for (__u32 at = 0; at < SESSION_SLOTS; at++) {
		if (at >= count)
			break;
		slot.slot = at;
		if (backend_of_session(&slot, session))
			return at;
	}
	return count;
}

/* Null: there is none any more, or the route does not lead to it. */
static __always_inline const struct weft_backend *resumed_backend(const struct weft_service *service,
								  struct weft_session *session, struct weft_backend_key *slot)
{
	__u32 count = service->backend_count;
	const struct weft_backend *backend = 0;
	const struct weft_split *split;

	slot->service_id = service->id;
	if (service->flags & WEFT_SERVICE_SPLIT) {
		slot->slot = session->split;
		split = session->split < count ? bpf_map_lookup_elem(&splits, slot) : 0;
		if (!split || split->set_id != session->set_id)
			return 0;
		count = split->backend_count;
		slot->service_id = split->set_id;
	}
	slot->slot = session->slot;
	if (slot->slot < count)
		backend = backend_of_session(slot, session);
	if (backend)
		return backend;
	slot->slot = slot_of_session(session, slot->service_id, count);
	return slot->slot < count ? backend_of_session(slot, session) : 0;
}

/* As draw_backend, for a client that may have a backend already. */
static __always_inline enum choice keep_backend(const struct weft_service *service, const struct weft_ip *client,
						struct weft_backend_key *slot, const struct weft_backend **kept)
{
	struct weft_session_key key = { .service_id = service->id };
	const __u32 *timeout_s = bpf_map_lookup_elem(&affinities, &key.service_id);
	struct weft_session opened = { .used_ns = bpf_ktime_get_ns() };
	struct weft_session *session;
	enum choice choice;

	COPY_IP(key.client, *client);
	session = bpf_map_lookup_elem(&sessions, &key);
	if (session && timeout_s && opened.used_ns - session->used_ns < *timeout_s * 1000000000ull) {
		*kept = resumed_backend(service, session, slot);
		if (*kept) {
			session->used_ns = opened.used_ns;
			session->slot = slot->slot;
			return CHOICE_BACKEND;
		}
	}
	choice = draw_backend(service, slot, &opened.split, kept);
	if (choice != CHOICE_BACKEND || !*kept)
		return choice;
	COPY_IP(opened.backend, (*kept)->ip);
	opened.backend_port = (*kept)->port;
	opened.set_id = slot->service_id;
	opened.slot = slot->slot;
	bpf_map_update_elem(&sessions, &key, &opened, BPF_ANY); /* one that is not kept is drawn for anew */
	return choice;
}
