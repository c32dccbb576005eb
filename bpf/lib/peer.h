/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 * The peer address an app sees: the VIP it dialled, or the client behind the agent. */
#pragma once
#include "maps.h"
#include "sockaddr.h"

/* Runs for getpeername() and for the address that accept() returns. */
static __always_inline int present_peer(struct bpf_sock_addr *ctx, const int v6)
{
	const struct weft_socket *kept = bpf_sk_storage_get(&sockets, ctx->sk, 0, 0);

	if (kept && kept->presents && (v6 || ip_is_v4(&kept->ip)))
		sockaddr_rewrite(ctx, &kept->ip, kept->port, v6);
	return 1;
}
