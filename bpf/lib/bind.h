/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 * Who may hold the agent's ports inside an enrolled namespace: sockets that the agent has marked, whether or not an agent
 * is there. A program beside them could answer the workload's look-ups, or take what was sent to the agent. */
#pragma once
#include "config.h"
#include "report.h"
#include "sockaddr.h"
#include "socket.h"
#include "workload.h"

/* A waypoint takes its tunnels itself; it has no other listener of the agent's in its place. */
static __always_inline int is_agent_port(const struct weft_config *config, const struct weft_workload *workload, __u16 port)
{
	if (port == config->hbone_port)
		return !(workload->flags & WEFT_WORKLOAD_NATIVE_TUNNEL);
	return port == config->outbound_port || port == config->plaintext_port || port == config->dns_port;
}

/* Runs for every bind() to a port that was asked for, TCP and UDP, whatever the address; port 0 is the kernel's choice. */
static __always_inline int bind_address(struct bpf_sock_addr *ctx, const int v6)
{
	const struct weft_workload *workload = workload_of(bpf_get_netns_cookie(ctx));
	const struct weft_config *config = the_config();
	__u16 port = sockaddr_port(ctx);
	struct weft_event event = {};

	if (!workload || !port || bpf_sk_storage_get(&own_sockets, ctx->sk, 0, 0))
		return SOCK_ADDR_ALLOW;
	if (config && !is_agent_port(config, workload, port))
		return SOCK_ADDR_ALLOW;
	event.time_ns = bpf_ktime_get_ns();
	event.source_id = workload->id;
	event.destination = sockaddr_ip(ctx, v6);
	event.destination_port = port;
	report(&event, WEFT_HOOK_BIND, WEFT_REASON_RESERVED_PORT, WEFT_COUNT_REFUSED);
	return sockaddr_refuse(EADDRINUSE);
}
