/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 * The path of a new outbound connection, from cached results only: no policy is evaluated here. path_of() decides
 * from the maps and touches no socket, so that bpf/tests can run it; take_path() then does it. */
#pragma once
#include "attest.h"
#include "config.h"
#include "dial.h"
#include "dns.h"
#include "report.h"
#include "service.h"
#include "sockaddr.h"
#include "socket.h"
#include "verdict.h"
#include "workload.h"

static __always_inline enum dial_path path_to_waypoint(struct dial *dial, __u32 waypoint_id)
{
	const struct weft_ip *ip = local_waypoint(waypoint_id, &dial->ip);
	const struct weft_address *address = ip ? address_of(ip) : 0;

	/* The attestation names the waypoint's enrolment, so it must be known which one it is. */
	if (!address || !(address->flags & WEFT_ADDRESS_LOCAL))
		return path_for(dial, PATH_AGENT, WEFT_REASON_WAYPOINT);
	dial->destination_id = address->id;
	COPY_IP(dial->backend, *ip);
	dial->backend_port = dial->config->waypoint_port;
	return path_for(dial, PATH_BACKEND, WEFT_REASON_WAYPOINT);
}

/* The backend is a workload: what does the cache say about reaching it? */
static __always_inline enum dial_path path_to_workload(struct dial *dial, const struct weft_address *address)
{
	enum cached_verdict verdict;

	dial->destination_id = address->id;
	if (!(address->flags & (WEFT_ADDRESS_HBONE | WEFT_ADDRESS_LOCAL)))
		return path_for(dial, PATH_BACKEND, WEFT_REASON_NONE);
	verdict = cached_verdict(dial->source->id, address->id, dial->backend_port, dial->config->generation);
	if (verdict == VERDICT_DENY)
		return path_for(dial, PATH_REFUSE, WEFT_REASON_DENIED);
	if (!(address->flags & WEFT_ADDRESS_LOCAL))
		return path_for(dial, PATH_AGENT, WEFT_REASON_HBONE);
	if (verdict == VERDICT_ALLOW)
		return path_for(dial, PATH_BACKEND, WEFT_REASON_DIRECT);
	return path_for(dial, PATH_AGENT, WEFT_REASON_EVALUATE);
}

/* What was dialled is now an address: of a workload, or unknown to the maps. */
static __always_inline enum dial_path path_to_address(struct dial *dial, int is_service, int is_registered)
{
	const struct weft_address *address = address_of(&dial->backend);

	if (is_nobodys(address)) {
		if (!address && (dial->config->flags & WEFT_CONFIG_INCOMPLETE))
			return path_for(dial, PATH_AGENT, WEFT_REASON_UNKNOWN_DESTINATION);
		if (!is_registered && !may_reach_unknown(dial->source) && !is_permitted(dial->source->id, &dial->ip, dial->port))
			return path_for(dial, PATH_REFUSE, WEFT_REASON_NOT_REGISTERED);
		/* Rewritten to what it is, so that the socket remembers whose it was: what passes is counted, too. */
		return path_for(dial, PATH_BACKEND, WEFT_REASON_NONE);
	}
	if (dial->source->flags & WEFT_WORKLOAD_NATIVE_TUNNEL) {
		/* A waypoint makes its own tunnels and is nobody else's client. */
		if (dial->port == dial->config->hbone_port)
			return PATH_LEAVE;
	} else if (!is_service && address->waypoint_id) {
		return path_to_waypoint(dial, address->waypoint_id);
	}
	return path_to_workload(dial, address);
}

static __always_inline enum dial_path path_of_stream(struct dial *dial)
{
	struct weft_backend_key slot = {};
	__u32 waypoint_id = 0;

	/* MPTCP too is looked up as TCP: services know no other stream. */
	switch (choose_backend(&dial->ip, dial->port, IPPROTO_TCP, client_address(dial), &dial->backend, &dial->backend_port,
			       &waypoint_id, &slot)) {
	case CHOICE_NO_SERVICE:
		return path_to_address(dial, 0, 0);
	case CHOICE_PASSTHROUGH:
		return path_to_address(dial, 0, 1);
	case CHOICE_BACKEND:
		return path_to_address(dial, 1, 1);
	case CHOICE_WAYPOINT:
		return path_to_waypoint(dial, waypoint_id);
	case CHOICE_AGENT:
		return path_for(dial, PATH_AGENT, WEFT_REASON_AGENT_SERVICE);
	case CHOICE_NO_SUCH_PORT:
		return path_for(dial, PATH_REFUSE, WEFT_REASON_NO_SUCH_PORT);
	case CHOICE_NO_BACKEND:
		break;
	}
	return path_for(dial, PATH_REFUSE, WEFT_REASON_NO_BACKEND);
}

/* The whole decision for connect(): TCP takes a path, DNS goes to the agent, other datagrams leave the mesh or nothing. */
static __always_inline enum dial_path path_of(struct dial *dial)
{
	enum dial_path path;

	if (!dial->config)
		return path_for(dial, PATH_REFUSE, WEFT_REASON_NO_MEMORY);
	if (ip_stays_home(&dial->ip) || ip_equal(&dial->ip, &dial->source->ip4) || ip_equal(&dial->ip, &dial->source->ip6))
		return PATH_LEAVE;
	if (is_dns(dial->port, dial->protocol) && has_dns_captured(dial->source))
		return path_for(dial, PATH_AGENT, WEFT_REASON_DNS);
	if (dial->protocol == IPPROTO_TCP || dial->protocol == IPPROTO_MPTCP)
		return path_of_stream(dial);
	path = path_of_datagram(dial);
	return path == PATH_REFUSE && is_address_probe(dial) ? path_of_probe(dial) : path;
}

static __noinline int refuse(struct dial *dial, enum weft_reason reason)
{
	struct weft_event event = {
		.time_ns = bpf_ktime_get_ns(),
		.source_id = dial->source->id,
		.destination_id = dial->destination_id,
		.destination = dial->ip,
		.destination_port = dial->port,
	};
	report(&event, WEFT_HOOK_CONNECT, reason, WEFT_COUNT_REFUSED);
	return sockaddr_refuse(ECONNREFUSED);
}

/* Remembers on the socket what was dialled and decided. Every connect() overwrites it, so a socket
 * that is connected twice never reports its first destination. */
static __always_inline int remember(struct bpf_sock_addr *ctx, const struct dial *dial)
{
	struct weft_socket *kept = bpf_sk_storage_get(&sockets, ctx->sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (!kept)
		return -1;
	kept->version = WEFT_SCHEMA;
	kept->flags = WEFT_SOCKET_PRESENTS;
	COPY_IP(kept->ip, dial->ip);
	kept->port = dial->port;
	COPY_IP(kept->backend, dial->backend);
	kept->backend_port = dial->backend_port;
	kept->reason = dial->reason;
	kept->source_id = dial->source->id;
	kept->destination_id = dial->destination_id;
	kept->generation = dial->config->generation;
	return 0;
}

static __always_inline enum weft_counter counter_of(enum dial_path path, enum weft_reason reason)
{
	if (path == PATH_AGENT)
		return reason == WEFT_REASON_DNS ? WEFT_COUNT_DNS : WEFT_COUNT_CAPTURED;
	if (reason == WEFT_REASON_WAYPOINT)
		return WEFT_COUNT_WAYPOINT;
	if (reason == WEFT_REASON_DATAGRAM || reason == WEFT_REASON_UNKNOWN_MESH)
		return WEFT_COUNT_REFUSED; /* a probe: what it would send is */
	return reason == WEFT_REASON_DIRECT ? WEFT_COUNT_DIRECT : WEFT_COUNT_PASSTHROUGH;
}

/* Whether it is the agent that would take it. Who else came to hold the port while no agent was there, by the kernel's own
 * choice of a port, gets nothing; and where nobody does, the caller hears why. */
static __always_inline int agent_takes(struct bpf_sock_addr *ctx, const struct weft_ip *ip, __u16 port, __u32 protocol)
{
	struct bpf_sock_tuple to = {};
	__u32 size = sizeof(to.ipv6);
	struct bpf_sock *sock;
	int is_own;

	if (ip_is_v4(ip)) {
		size = sizeof(to.ipv4);
		to.ipv4.saddr = to.ipv4.daddr = ip->word[3];
		to.ipv4.dport = bpf_htons(port);
	} else {
		__builtin_memcpy(to.ipv6.saddr, ip->word, sizeof(to.ipv6.saddr));
		__builtin_memcpy(to.ipv6.daddr, ip->word, sizeof(to.ipv6.daddr));
		to.ipv6.dport = bpf_htons(port);
	}
	if (protocol == IPPROTO_UDP)
		sock = bpf_sk_lookup_udp(ctx, &to, size, BPF_F_CURRENT_NETNS, 0);
	else
		sock = bpf_sk_lookup_tcp(ctx, &to, size, BPF_F_CURRENT_NETNS, 0);
	if (!sock)
		return 0;
	is_own = bpf_sk_storage_get(&own_sockets, sock, 0, 0) != 0;
	bpf_sk_release(sock);
	return is_own;
}

/* Refused here, where the app is told at once, whoever holds his share; flow.h counts. What passes by the mesh counts
 * for nobody, and DNS has bounds of its own. */
static __always_inline int is_over_share(const struct dial *dial, enum dial_path path)
{
	if (path == PATH_AGENT)
		return dial->reason != WEFT_REASON_DNS && !has_room(dial->source->id, WEFT_SOCKET_CARRIED);
	return is_attested(dial->reason) && !has_room(dial->source->id, WEFT_SOCKET_LIVE);
}

/* Nothing is rewritten that is not remembered first: the flow hook could not attest it, and the app would see a
 * stranger as its peer. */
static __always_inline int take_path(struct bpf_sock_addr *ctx, struct dial *dial, enum dial_path path, const int v6)
{
	if (path == PATH_LEAVE)
		return SOCK_ADDR_ALLOW;
	if (path == PATH_REFUSE)
		return refuse(dial, dial->reason);
	if (is_over_share(dial, path))
		return refuse(dial, WEFT_REASON_SHARE);
	if (remember(ctx, dial))
		return refuse(dial, WEFT_REASON_NO_MEMORY);
	if (path == PATH_AGENT) {
		dial->backend = home_address(dial->source, &dial->ip);
		dial->backend_port = dial->reason == WEFT_REASON_DNS ? dial->config->dns_port : dial->config->outbound_port;
		if (!agent_takes(ctx, &dial->backend, dial->backend_port, dial->protocol))
			return refuse(dial, WEFT_REASON_NO_AGENT);
	}
	sockaddr_rewrite(ctx, &dial->backend, dial->backend_port, v6);
	count(counter_of(path, dial->reason));
	return SOCK_ADDR_ALLOW;
}

/* False when the socket is none of ours to decide: its namespace is not enrolled, or it is the agent's own. */
static __always_inline int start_dial(struct bpf_sock_addr *ctx, struct dial *dial, const int v6)
{
	dial->source = workload_of(bpf_get_netns_cookie(ctx));
	if (!dial->source || bpf_sk_storage_get(&own_sockets, ctx->sk, 0, 0))
		return 0;
	dial->config = the_config();
	dial->ip = sockaddr_ip(ctx, v6);
	dial->port = sockaddr_port(ctx);
	COPY_IP(dial->backend, dial->ip);
	dial->backend_port = dial->port;
	dial->protocol = ctx->protocol;
	return 1;
}

static __always_inline int connect_path(struct bpf_sock_addr *ctx, const int v6)
{
	struct dial dial = {};

	if (!start_dial(ctx, &dial, v6))
		return SOCK_ADDR_ALLOW;
	/* What an earlier connect() of this socket left must not be shown for this one. */
	bpf_sk_storage_delete(&sockets, ctx->sk);
	return take_path(ctx, &dial, path_of(&dial), v6);
}
