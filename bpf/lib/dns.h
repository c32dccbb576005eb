/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 * DNS over unconnected UDP: queries go to the agent, answers seem to come from the server that was asked. */
#pragma once
#include "connect.h"

static __always_inline int capture_query(struct bpf_sock_addr *ctx, const int v6)
{
	struct dial dial = {};
	__u64 cookie = bpf_get_netns_cookie(ctx);

	dial.source = bpf_map_lookup_elem(&workloads, &cookie);
	if (!dial.source || sockaddr_port(ctx) != DNS_PORT)
		return SOCK_ADDR_ALLOW;
	if (bpf_sk_storage_get(&own_sockets, ctx->sk, 0, 0))
		return SOCK_ADDR_ALLOW;
	dial.config = the_config();
	dial.ip = sockaddr_ip(ctx, v6);
	dial.port = DNS_PORT;
	if (!dial.config || ip_stays_home(&dial.ip))
		return SOCK_ADDR_ALLOW;
	return to_agent(ctx, &dial, dial.config->dns_port, WEFT_REASON_DNS, v6);
}

static __always_inline int restore_answer(struct bpf_sock_addr *ctx, const int v6)
{
	const struct weft_socket *kept = bpf_sk_storage_get(&sockets, ctx->sk, 0, 0);
	const struct weft_config *settings = the_config();

	if (kept && settings && kept->reason == WEFT_REASON_DNS && sockaddr_port(ctx) == settings->dns_port &&
	    (v6 || ip_is_v4(&kept->ip)))
		sockaddr_rewrite(ctx, &kept->ip, kept->port, v6);
	return 1;
}
