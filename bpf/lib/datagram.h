/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 * Datagrams of unconnected UDP sockets: DNS queries go to the agent, answers seem to come from the server that was asked.
 * (A connected socket comes through connect.h once and then not again.) */
#pragma once
#include "../abi/datagram.h"
#include "connect.h"

/* On the socket itself: it dies with it, and nobody's flows push out those of another. */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct weft_datagrams);
} datagrams SEC(".maps");

#define FLOWS (int)(sizeof(((struct weft_datagrams *)0)->flows) / sizeof(struct weft_datagram_flow))

/* The flow of a socket to what is dialled, which is its last then; null: none. */
static __always_inline struct weft_datagram_flow *flow_to(struct weft_datagrams *kept, const struct weft_ip *ip, __u16 port)
{
	for (int at = 0; at < FLOWS; at++) {
		if (kept->flows[at].dialled_port != port || !ip_equal(&kept->flows[at].dialled, ip))
			continue;
		kept->last = at;
		return &kept->flows[at];
	}
	return 0;
}

/* Whether the slot that was drawn still is this backend's: it is not when it left, or its place was filled. */
static __always_inline int is_still_backend(const struct weft_datagram_flow *flow)
{
	struct weft_backend_key slot = { .service_id = flow->set_id, .slot = flow->slot };
	const struct weft_backend *backend = bpf_map_lookup_elem(&backends, &slot);

	return backend && backend->port == flow->backend_port && ip_equal(&backend->ip, &flow->backend);
}

/* The backend that the socket's datagrams to this service have gone to before; it is drawn anew when that left. */
static __always_inline enum dial_path path_of_flow(struct bpf_sock_addr *ctx, struct dial *dial)
{
	struct weft_datagrams *kept = bpf_sk_storage_get(&datagrams, ctx->sk, 0, 0);
	struct weft_datagram_flow *flow = kept ? flow_to(kept, &dial->ip, dial->port) : 0;
	enum dial_path path;

	if (flow && is_still_backend(flow)) {
		COPY_IP(dial->backend, flow->backend);
		dial->backend_port = flow->backend_port;
		return path_of_datagram_to(dial, &dial->backend, PATH_BACKEND);
	}
	path = path_of_datagram(dial);
	if (path != PATH_BACKEND)
		return path;
	if (!kept)
		kept = bpf_sk_storage_get(&datagrams, ctx->sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (!kept)
		return path_for(dial, PATH_REFUSE, WEFT_REASON_NO_MEMORY);
	if (!flow) {
		kept->last = kept->next++ % FLOWS;
		flow = &kept->flows[kept->last % FLOWS];
	}
	COPY_IP(flow->dialled, dial->ip);
	COPY_IP(flow->backend, dial->backend);
	flow->backend_port = dial->backend_port;
	flow->set_id = dial->slot.service_id;
	flow->slot = dial->slot.slot;
	flow->dialled_port = dial->port;
	return path;
}

/* A workload's own address is no exception for DNS: whatever server is asked, the agent answers. */
static __always_inline enum dial_path path_of_sent(struct bpf_sock_addr *ctx, struct dial *dial)
{
	if (ip_stays_home(&dial->ip))
		return PATH_LEAVE;
	if (!dial->config)
		return path_for(dial, PATH_REFUSE, WEFT_REASON_NO_MEMORY);
	if (dial->port == DNS_PORT && has_dns_captured(dial->source))
		return path_for(dial, PATH_AGENT, WEFT_REASON_DNS);
	if (ip_equal(&dial->ip, &dial->source->ip4) || ip_equal(&dial->ip, &dial->source->ip6))
		return PATH_LEAVE;
	return path_of_flow(ctx, dial);
}

/* Runs for every datagram of such a socket. */
static __always_inline int send_datagram(struct bpf_sock_addr *ctx, const int v6)
{
	struct dial dial = {};
	enum dial_path path;

	if (!start_dial(ctx, &dial, v6))
		return SOCK_ADDR_ALLOW;
	path = path_of_sent(ctx, &dial);
	if (path != PATH_BACKEND)
		return take_path(ctx, &dial, path, v6);
	/* The flow says whose answers these will be; what the socket asked a nameserver stays remembered. */
	sockaddr_rewrite(ctx, &dial.backend, dial.backend_port, v6);
	count(WEFT_COUNT_PASSTHROUGH);
	return SOCK_ADDR_ALLOW;
}

/* Answers of a backend come from the service that was dialled. */
static __always_inline int is_of_service(struct bpf_sock_addr *ctx, const struct weft_socket *connected, const struct weft_ip *from,
					 __u16 port, struct weft_ip *dialled, __u16 *dialled_port)
{
	struct weft_datagrams *kept = bpf_sk_storage_get(&datagrams, ctx->sk, 0, 0);

	if (connected && connected->reason == WEFT_REASON_NONE && connected->backend_port == port &&
	    ip_equal(&connected->backend, from)) {
		COPY_IP(*dialled, connected->ip);
		*dialled_port = connected->port;
		return 1;
	}
	if (!kept)
		return 0;
	for (__u32 at = 0; at < FLOWS; at++) {
		const struct weft_datagram_flow *flow = &kept->flows[(kept->last + at) % FLOWS];

		if (!flow->dialled_port || flow->backend_port != port || !ip_equal(&flow->backend, from))
			continue;
		COPY_IP(*dialled, flow->dialled);
		*dialled_port = flow->dialled_port;
		return 1;
	}
	return 0;
}

/* The verifier lets recvmsg programs only allow. Renamed is what comes from a backend of this socket's, and, of what else there
 * is, only what comes from the agent's own port at the workload's own address, which no app may hold (bind.h) and nobody else
 * can send from: a socket that asked a nameserver may hear others too, and those come from where they come from. */
static __always_inline int receive_datagram(struct bpf_sock_addr *ctx, const int v6)
{
	const struct weft_socket *kept = bpf_sk_storage_get(&sockets, ctx->sk, 0, 0);
	const struct weft_workload *workload;
	const struct weft_config *config;
	struct weft_ip home, from = sockaddr_ip(ctx, v6), dialled = {};
	__u16 port = sockaddr_port(ctx), dialled_port = 0;

	if (is_of_service(ctx, kept, &from, port, &dialled, &dialled_port)) {
		if (v6 || ip_is_v4(&dialled))
			sockaddr_rewrite(ctx, &dialled, dialled_port, v6);
		return SOCK_ADDR_ALLOW;
	}
	if (!kept || kept->reason != WEFT_REASON_DNS || !(v6 || ip_is_v4(&kept->ip)))
		return SOCK_ADDR_ALLOW;
	config = the_config();
	workload = workload_of(bpf_get_netns_cookie(ctx));
	if (!config || !workload || port != config->dns_port)
		return SOCK_ADDR_ALLOW;
	home = home_address(workload, &kept->ip);
	if (ip_equal(&from, &home))
		sockaddr_rewrite(ctx, &kept->ip, kept->port, v6);
	return SOCK_ADDR_ALLOW;
}
