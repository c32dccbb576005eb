/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 * Services: from what was dialled to one backend, a waypoint, or the agent's choice. */
#pragma once
#include "affinity.h"
#include "workload.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 131072);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct weft_service_key);
	__type(value, struct weft_service);
} services SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, struct weft_waypoint);
} waypoints SEC(".maps");

#ifndef WEFT_BLOCKS_TYPE /* what tests run by itself may have no trie */
#define WEFT_BLOCKS_TYPE BPF_MAP_TYPE_LPM_TRIE
#endif

/* The longest block around an address; the value is the address under which `services` has the service of the block, and
 * which no packet has (RFC 6666). */
struct {
	__uint(type, WEFT_BLOCKS_TYPE);
	__uint(max_entries, 16384);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct weft_block_key);
	__type(value, struct weft_ip);
} blocks SEC(".maps");

/* Null where somebody has the address itself. */
static __always_inline const struct weft_ip *block_around(const struct weft_ip *ip)
{
	struct weft_block_key key = {};

	if (!is_nobodys(address_of(ip)))
		return 0;
	key.prefix_length = 160;
	key.is_v4 = ip_is_v4(ip);
	COPY_IP(key.ip, *ip);
	return bpf_map_lookup_elem(&blocks, &key);
}

/* No exact service: that of a block. `key` is that of the service from then on, while there is one; else `choice` says why. */
static __always_inline const struct weft_service *service_of_block(const struct weft_ip *ip, struct weft_service_key *key,
								   enum choice *choice)
{
	const struct weft_ip *place = block_around(ip);
	const struct weft_service *service;
	__u16 port = key->port;

	*choice = CHOICE_NO_SERVICE;
	if (!place)
		return 0;
	COPY_IP(key->ip, *place);
	service = bpf_map_lookup_elem(&services, key);
	if (service || key->protocol != IPPROTO_TCP)
		return service;
	key->port = 0;
	service = bpf_map_lookup_elem(&services, key);
	key->port = port;
	/* What passes by says nothing of other ports; whoever is not found at all is being written. */
	if (!service || (service->flags & WEFT_SERVICE_AGENT))
		*choice = CHOICE_AGENT;
	else if (!(service->flags & WEFT_SERVICE_PASSTHROUGH))
		*choice = CHOICE_NO_SUCH_PORT;
	return 0;
}

/* Where a waypoint of this node takes clients of the family of `like`; null: not on this node, or not in this family. */
static __always_inline const struct weft_ip *local_waypoint(__u32 waypoint_id, const struct weft_ip *like)
{
	const struct weft_waypoint *waypoint = bpf_map_lookup_elem(&waypoints, &waypoint_id);
	const struct weft_ip *ip;

	if (!waypoint)
		return 0;
	ip = ip_is_v4(like) ? &waypoint->ip4 : &waypoint->ip6;
	return ip_is_zero(ip) ? 0 : ip;
}

/* Which of two waypoints gets a connection; 0: not for the kernel to say. It draws only where both are on this node: whom the
 * agent serves it draws for itself, and what is drawn twice has another share. */
static __noinline __u32 drawn_waypoint(const struct weft_service *service, const struct weft_ip *like)
{
	struct weft_backend_key slot = { .service_id = service->id };
	const struct weft_split *canary = bpf_map_lookup_elem(&splits, &slot);

	if (!canary || !local_waypoint(canary->set_id, like) || !local_waypoint(service->waypoint_id, like))
		return 0;
	return bpf_get_prandom_u32() % 100 < canary->backend_count ? canary->set_id : service->waypoint_id;
}

/* Finds the service and draws one of its slots: weights are expanded into slots, so a uniform draw honours them. `client`:
 * its address of the family that was dialled. */
static __always_inline enum choice choose_backend(const struct weft_ip *ip, __u16 port, __u8 protocol,
						  const struct weft_ip *client, struct weft_ip *backend_ip,
						  __u16 *backend_port, __u32 *waypoint_id, struct weft_backend_key *slot)
{
	struct weft_service_key key = { .port = port, .protocol = protocol };
	const struct weft_service *service;
	const struct weft_backend *backend = 0;
	enum choice choice;
	__u32 split_slot;

	COPY_IP(key.ip, *ip);
	service = bpf_map_lookup_elem(&services, &key);
	if (!service) {
		key.port = 0;
		if (bpf_map_lookup_elem(&services, &key))
			return CHOICE_NO_SUCH_PORT;
		key.port = port;
		service = service_of_block(ip, &key, &choice);
		if (!service)
			return choice;
	}
	if (service->waypoint_id) {
		*waypoint_id = service->waypoint_id;
		if (service->flags & WEFT_SERVICE_SPLIT)
			*waypoint_id = drawn_waypoint(service, ip);
		return *waypoint_id ? CHOICE_WAYPOINT : CHOICE_AGENT;
	}
	if (service->flags & WEFT_SERVICE_AGENT)
		return CHOICE_AGENT;
	if (service->flags & WEFT_SERVICE_PASSTHROUGH)
		return CHOICE_PASSTHROUGH;
	if (service->flags & WEFT_SERVICE_AFFINITY)
		choice = keep_backend(service, client, slot, &backend);
	else
		choice = draw_backend(service, slot, &split_slot, &backend);
	if (choice != CHOICE_BACKEND || !backend)
		return choice;
	COPY_IP(*backend_ip, backend->ip);
	*backend_port = backend->port;
	return CHOICE_BACKEND;
}

/* Whether a VIP stands for workloads of the mesh, as far as any service of it knows. */
static __always_inline int is_mesh_vip(const struct weft_ip *ip)
{
	struct weft_service_key key = {}; /* no constants in it: they would lie where user space writes its own */
	const struct weft_service *service;

	const struct weft_ip *place;

	COPY_IP(key.ip, *ip);
	key.protocol = IPPROTO_TCP;
	service = bpf_map_lookup_elem(&services, &key);
	if (!service) {
		place = block_around(ip);
		if (!place)
			return 0;
		COPY_IP(key.ip, *place);
		service = bpf_map_lookup_elem(&services, &key);
	}
	return service && (service->flags & WEFT_SERVICE_MESH);
}
