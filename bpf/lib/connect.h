/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 * The path of a new outbound connection, from cached results only: no policy is evaluated here. */
#pragma once
#include "maps.h"
#include "report.h"
#include "sockaddr.h"

/* False on kernels before 5.18, which cannot choose the errno: refusals are then EPERM. Set before loading. */
const volatile int has_set_retval = 1;

struct dial {
	const struct weft_config *config;
	const struct weft_workload *source;
	struct weft_ip ip; /* as dialled */
	__u16 port;
	struct weft_ip backend; /* as chosen; starts equal to ip:port */
	__u16 backend_port;
	__u32 destination_id;
};

static __always_inline int refuse(struct dial *dial, __u16 reason)
{
	struct weft_event event = {
		.time_ns = bpf_ktime_get_ns(),
		.source_id = dial->source->id,
		.destination_id = dial->destination_id,
		.destination = dial->ip,
		.destination_port = dial->port,
	};
	report(&event, WEFT_HOOK_CONNECT, reason, WEFT_COUNT_REFUSED);
	if (has_set_retval)
		bpf_set_retval(-ECONNREFUSED);
	return SOCK_ADDR_REFUSE;
}

/* Remembers on the socket what was dialled and decided. Every connect() overwrites it, so a socket
 * that is connected twice never reports its first destination. */
static __always_inline int remember(struct bpf_sock_addr *ctx, struct dial *dial, __u16 reason)
{
	struct weft_socket *kept = bpf_sk_storage_get(&sockets, ctx->sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (!kept)
		return -1;
	kept->version = WEFT_SCHEMA;
	kept->presents = 1;
	COPY_IP(kept->ip, dial->ip);
	kept->port = dial->port;
	COPY_IP(kept->backend, dial->backend);
	kept->backend_port = dial->backend_port;
	kept->reason = reason;
	kept->source_id = dial->source->id;
	kept->destination_id = dial->destination_id;
	kept->generation = dial->config->generation;
	return 0;
}

/* The workload's own address of the family of `like`: a listener of the agent inside the workload is
 * dialled there, because dialling loopback would change the source address the app sees. */
static __always_inline struct weft_ip home_address(const struct weft_workload *workload, const struct weft_ip *like)
{
	struct weft_ip ip = ip_is_v4(like) ? workload->ip4 : workload->ip6;
	return ip_is_zero(&ip) ? ip_loopback(like) : ip;
}

/* Sends the connection to one of the agent's listeners inside the workload's own namespace. */
static __always_inline int to_agent(struct bpf_sock_addr *ctx, struct dial *dial, __u16 port, __u16 reason, const int v6)
{
	struct weft_ip home = home_address(dial->source, &dial->ip);
	if (remember(ctx, dial, reason))
		return refuse(dial, WEFT_REASON_NO_MEMORY);
	sockaddr_rewrite(ctx, &home, port, v6);
	count(reason == WEFT_REASON_DNS ? WEFT_COUNT_DNS : WEFT_COUNT_CAPTURED);
	return SOCK_ADDR_ALLOW;
}

static __always_inline int to_waypoint(struct bpf_sock_addr *ctx, struct dial *dial, __u32 waypoint_id, const int v6)
{
	const struct weft_waypoint *waypoint = bpf_map_lookup_elem(&waypoints, &waypoint_id);
	const struct weft_ip *ip;

	if (!waypoint)
		return to_agent(ctx, dial, dial->config->outbound_port, WEFT_REASON_WAYPOINT, v6);
	ip = ip_is_v4(&dial->ip) ? &waypoint->ip4 : &waypoint->ip6;
	if (ip_is_zero(ip))
		return to_agent(ctx, dial, dial->config->outbound_port, WEFT_REASON_WAYPOINT, v6);
	COPY_IP(dial->backend, *ip);
	dial->backend_port = dial->config->waypoint_port;
	if (remember(ctx, dial, WEFT_REASON_WAYPOINT))
		return refuse(dial, WEFT_REASON_NO_MEMORY);
	sockaddr_rewrite(ctx, &dial->backend, dial->backend_port, v6);
	count(WEFT_COUNT_WAYPOINT);
	return SOCK_ADDR_ALLOW;
}

static __always_inline int to_backend(struct bpf_sock_addr *ctx, struct dial *dial, __u16 reason, const int v6)
{
	if (remember(ctx, dial, reason))
		return refuse(dial, WEFT_REASON_NO_MEMORY);
	sockaddr_rewrite(ctx, &dial->backend, dial->backend_port, v6);
	count(reason == WEFT_REASON_DIRECT ? WEFT_COUNT_DIRECT : WEFT_COUNT_PASSTHROUGH);
	return SOCK_ADDR_ALLOW;
}

/* The backend is known: what does the cache say about reaching it? */
static __always_inline int to_workload(struct bpf_sock_addr *ctx, struct dial *dial, const struct weft_address *address, const int v6)
{
	struct weft_verdict_key key = {
		.source_id = dial->source->id,
		.destination_id = address->id,
		.port = dial->backend_port,
	};
	const struct weft_verdict *verdict;

	dial->destination_id = address->id;
	if (!(address->flags & WEFT_ADDRESS_HBONE))
		return to_backend(ctx, dial, WEFT_REASON_NONE, v6);
	verdict = bpf_map_lookup_elem(&verdicts, &key);
	if (verdict && verdict->generation != dial->config->generation)
		verdict = 0;
	if (verdict && !verdict->allow)
		return refuse(dial, WEFT_REASON_DENIED);
	if (!(address->flags & WEFT_ADDRESS_LOCAL))
		return to_agent(ctx, dial, dial->config->outbound_port, WEFT_REASON_HBONE, v6);
	if (verdict)
		return to_backend(ctx, dial, WEFT_REASON_DIRECT, v6);
	return to_agent(ctx, dial, dial->config->outbound_port, WEFT_REASON_EVALUATE, v6);
}

/* Finds the service dialled and draws one of its slots. 0: go on with dial->backend; else *result is final. */
static __always_inline int choose_backend(struct bpf_sock_addr *ctx, struct dial *dial, int *is_service, int *result, const int v6)
{
	struct weft_service_key key = { .port = dial->port, .protocol = IPPROTO_TCP };
	struct weft_backend_key slot = {};
	const struct weft_service *service;
	const struct weft_backend *backend;

	COPY_IP(key.ip, dial->ip);
	service = bpf_map_lookup_elem(&services, &key);
	if (!service) {
		key.port = 0;
		if (!bpf_map_lookup_elem(&services, &key))
			return 0;
		*result = refuse(dial, WEFT_REASON_NO_SUCH_PORT);
		return 1;
	}
	*is_service = 1;
	if (service->waypoint_id) {
		*result = to_waypoint(ctx, dial, service->waypoint_id, v6);
		return 1;
	}
	if (service->flags & WEFT_SERVICE_AGENT) {
		*result = to_agent(ctx, dial, dial->config->outbound_port, WEFT_REASON_AGENT_SERVICE, v6);
		return 1;
	}
	if (service->backend_count == 0) {
		*result = refuse(dial, WEFT_REASON_NO_BACKEND);
		return 1;
	}
	slot.service_id = service->id;
	slot.slot = bpf_get_prandom_u32() % service->backend_count;
	backend = bpf_map_lookup_elem(&backends, &slot);
	if (!backend) {
		/* The table is being replaced: the agent has the whole of it. */
		*result = to_agent(ctx, dial, dial->config->outbound_port, WEFT_REASON_AGENT_SERVICE, v6);
		return 1;
	}
	COPY_IP(dial->backend, backend->ip);
	dial->backend_port = backend->port;
	return 0;
}

static __always_inline int connect_tcp(struct bpf_sock_addr *ctx, struct dial *dial, const int v6)
{
	const struct weft_address *address;
	int is_service = 0, result = SOCK_ADDR_ALLOW;

	if (choose_backend(ctx, dial, &is_service, &result, v6))
		return result;
	address = bpf_map_lookup_elem(&addresses, &dial->backend);
	if (!address) {
		if (dial->config->flags & WEFT_CONFIG_INCOMPLETE)
			return to_agent(ctx, dial, dial->config->outbound_port, WEFT_REASON_UNKNOWN_DESTINATION, v6);
		return is_service ? to_backend(ctx, dial, WEFT_REASON_NONE, v6) : SOCK_ADDR_ALLOW;
	}
	if (dial->source->flags & WEFT_WORKLOAD_NATIVE_TUNNEL) {
		/* A waypoint makes its own tunnels and is nobody else's client. */
		if (dial->port == dial->config->hbone_port)
			return SOCK_ADDR_ALLOW;
	} else if (!is_service && address->waypoint_id) {
		return to_waypoint(ctx, dial, address->waypoint_id, v6);
	}
	return to_workload(ctx, dial, address, v6);
}

/* The whole decision for connect(): TCP takes a path, DNS goes to the agent, the rest is left alone. */
static __always_inline int connect_path(struct bpf_sock_addr *ctx, const int v6)
{
	struct dial dial = {};
	__u64 cookie = bpf_get_netns_cookie(ctx);
	__u32 protocol = ctx->protocol;

	dial.source = bpf_map_lookup_elem(&workloads, &cookie);
	if (!dial.source)
		return SOCK_ADDR_ALLOW; /* not enrolled */
	if (bpf_sk_storage_get(&own_sockets, ctx->sk, 0, 0))
		return SOCK_ADDR_ALLOW;
	dial.config = the_config();
	dial.ip = sockaddr_ip(ctx, v6);
	dial.port = sockaddr_port(ctx);
	COPY_IP(dial.backend, dial.ip);
	dial.backend_port = dial.port;
	bpf_sk_storage_delete(&sockets, ctx->sk);
	if (!dial.config)
		return refuse(&dial, WEFT_REASON_NO_MEMORY);
	if (ip_stays_home(&dial.ip) || ip_equal(&dial.ip, &dial.source->ip4) || ip_equal(&dial.ip, &dial.source->ip6))
		return SOCK_ADDR_ALLOW;
	if (dial.port == DNS_PORT && (protocol == IPPROTO_UDP || protocol == IPPROTO_TCP))
		return to_agent(ctx, &dial, dial.config->dns_port, WEFT_REASON_DNS, v6);
	if (protocol != IPPROTO_TCP && protocol != IPPROTO_MPTCP)
		return SOCK_ADDR_ALLOW;
	return connect_tcp(ctx, &dial, v6);
}
