/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 * Services: from what was dialled to one backend, a waypoint, or the agent's choice. */
#pragma once
#include "affinity.h"

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
		return bpf_map_lookup_elem(&services, &key) ? CHOICE_NO_SUCH_PORT : CHOICE_NO_SERVICE;
	}
	if (service->waypoint_id) {
		*waypoint_id = service->waypoint_id;
		return CHOICE_WAYPOINT;
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

	COPY_IP(key.ip, *ip);
	key.protocol = IPPROTO_TCP;
	service = bpf_map_lookup_elem(&services, &key);
	return service && (service->flags & WEFT_SERVICE_MESH);
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
