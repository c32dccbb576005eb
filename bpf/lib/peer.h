/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 * The peer address an app sees: the VIP it dialled, or the client behind the agent. */
#pragma once
#include "sockaddr.h"
#include "socket.h"

/* The agent writes the client before it dials the app from that local end; the accepted socket takes it over at its
 * establishment, so an entry never outlives its connection and a re-used port shows no stranger. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct weft_peer_key);
	__type(value, struct weft_peer);
} peers SEC(".maps");

/* Runs for getpeername() and for the address that accept() returns. An IPv4 socket cannot show an IPv6 address. */
static __always_inline int present_peer(struct bpf_sock_addr *ctx, const int v6)
{
	const struct weft_socket *kept = bpf_sk_storage_get(&sockets, ctx->sk, 0, 0);

	if (kept && (kept->flags & WEFT_SOCKET_PRESENTS) && (v6 || ip_is_v4(&kept->ip)))
		sockaddr_rewrite(ctx, &kept->ip, kept->port, v6);
	return SOCK_ADDR_ALLOW;
}
