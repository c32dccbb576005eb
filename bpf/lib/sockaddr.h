/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 * Reads and writes the address of a cgroup socket-address hook, whatever its family. */
#pragma once
#include "ip.h"

/* False on kernels before 5.18, which cannot choose the errno: refusals are then EPERM. Set before loading. */
const volatile int has_set_retval = 1;

/* The call fails with this error. */
static __always_inline int sockaddr_refuse(int error)
{
	if (has_set_retval)
		bpf_set_retval(-error);
	return SOCK_ADDR_REFUSE;
}

/* `v6` is a constant at each call: the program of the other family never touches these fields, as the verifier
 * would refuse it. An IPv6 socket that dials a v4-mapped address comes through the IPv6 program and stays IPv6. */
static __always_inline struct weft_ip sockaddr_ip(struct bpf_sock_addr *ctx, const int v6)
{
	if (!v6)
		return ip_from_v4(CTX(ctx, user_ip4));
	return CTX_IP6(ctx, user_ip6);
}

/* user_port is 32 bits wide and holds the port in network order in its lower two bytes. */
static __always_inline __u16 sockaddr_port(struct bpf_sock_addr *ctx)
{
	return bpf_ntohs((__be16)ctx->user_port);
}

static __always_inline void sockaddr_rewrite(struct bpf_sock_addr *ctx, const struct weft_ip *ip, __u16 port, const int v6)
{
	if (!v6) {
		ctx->user_ip4 = ip->word[3];
	} else {
		ctx->user_ip6[0] = ip->word[0];
		ctx->user_ip6[1] = ip->word[1];
		ctx->user_ip6[2] = ip->word[2];
		ctx->user_ip6[3] = ip->word[3];
	}
	ctx->user_port = bpf_htons(port);
}
