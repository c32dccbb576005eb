/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 * Who is enrolled on this node, and which addresses the mesh has. */
#pragma once
#include "../abi/workload.h"
#include "ip.h"

/* The key is a netns cookie: an app can neither choose nor fake it, unlike an address or a mark. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u64);
	__type(value, struct weft_workload);
} workloads SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 262144);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct weft_ip);
	__type(value, struct weft_address);
} addresses SEC(".maps");

/* No program reads it: the agent keeps its numbers there for the next one, and waypoints read who called. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8192);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, struct weft_name);
} names SEC(".maps");

static __always_inline const struct weft_workload *workload_of(__u64 netns_cookie)
{
	return bpf_map_lookup_elem(&workloads, &netns_cookie);
}

/* Whether the agent answers what the workload asks nameservers. */
static __always_inline int has_dns_captured(const struct weft_workload *workload)
{
	return !(workload->flags & WEFT_WORKLOAD_OWN_DNS);
}

/* Whether the workload may open something to an address that no workload and no service of the mesh has. */
static __always_inline int may_reach_unknown(const struct weft_workload *workload)
{
	return !(workload->flags & WEFT_WORKLOAD_REGISTRY_ONLY);
}

static __always_inline const struct weft_address *address_of(const struct weft_ip *ip)
{
	return bpf_map_lookup_elem(&addresses, ip);
}

/* Whether nobody of the mesh has an address; of one that the maps do not hold they can only tell while they hold the whole mesh. */
static __always_inline int is_nobodys(const struct weft_address *address)
{
	return !address || (address->flags & WEFT_ADDRESS_OUTSIDE);
}

/* The workload's own address of the family of `like`: a listener of the agent inside the workload is
 * dialled there, because dialling loopback would change the source address the app sees. */
static __always_inline struct weft_ip home_address(const struct weft_workload *workload, const struct weft_ip *like)
{
	struct weft_ip ip = ip_is_v4(like) ? workload->ip4 : workload->ip6;
	return ip_is_zero(&ip) ? ip_loopback(like) : ip;
}
