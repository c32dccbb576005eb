/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 * Datagrams of unconnected UDP sockets: DNS queries go to the agent, answers seem to come from the server that was asked.
 * (A connected socket comes through connect.h once and then not again.) */
#pragma once
#include "connect.h"

/* A workload's own address is no exception for DNS: whatever server is asked, the agent answers. */
static __always_inline enum dial_path path_of_sent(struct dial *dial)
{
	if (ip_stays_home(&dial->ip))
		return PATH_LEAVE;
	if (!dial->config)
		return path_for(dial, PATH_REFUSE, WEFT_REASON_NO_MEMORY);
	if (dial->port == DNS_PORT)
		return path_for(dial, PATH_AGENT, WEFT_REASON_DNS);
	if (ip_equal(&dial->ip, &dial->source->ip4) || ip_equal(&dial->ip, &dial->source->ip6))
		return PATH_LEAVE;
	return path_of_datagram(dial);
}

/* Runs for every datagram of such a socket. */
static __always_inline int send_datagram(struct bpf_sock_addr *ctx, const int v6)
{
	struct dial dial = {};

	if (!start_dial(ctx, &dial, v6))
		return SOCK_ADDR_ALLOW;
	return take_path(ctx, &dial, path_of_sent(&dial), v6);
}

/* The verifier lets recvmsg programs only allow. Only what comes from the agent's own port at the workload's own address,
 * which no app may hold (bind.h) and nobody else can send from, is renamed: a socket that asked a nameserver may hear others
 * too, and those come from where they come from. */
static __always_inline int receive_datagram(struct bpf_sock_addr *ctx, const int v6)
{
	const struct weft_socket *kept = bpf_sk_storage_get(&sockets, ctx->sk, 0, 0);
	const struct weft_workload *workload;
	const struct weft_config *config;
	struct weft_ip home, from;

	if (!kept || kept->reason != WEFT_REASON_DNS || !(v6 || ip_is_v4(&kept->ip)))
		return SOCK_ADDR_ALLOW;
	config = the_config();
	workload = workload_of(bpf_get_netns_cookie(ctx));
	if (!config || !workload || sockaddr_port(ctx) != config->dns_port)
		return SOCK_ADDR_ALLOW;
	from = sockaddr_ip(ctx, v6);
	home = home_address(workload, &kept->ip);
	if (ip_equal(&from, &home))
		sockaddr_rewrite(ctx, &kept->ip, kept->port, v6);
	return SOCK_ADDR_ALLOW;
}
