/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 * One address type for both families, so that there is one code path. Words are in network order: a comparison with
 * a constant converts the constant, which costs nothing at run time. */
#pragma once
#include "base.h"

/* ::ffff:a.b.c.d, the v4-mapped form of `v4`. */
static __always_inline struct weft_ip ip_from_v4(__be32 v4)
{
	struct weft_ip ip = { .word = { 0, 0, bpf_htonl(0xffff), v4 } };
	return ip;
}

static __always_inline int ip_is_v4(const struct weft_ip *ip)
{
	return ip->word[0] == 0 && ip->word[1] == 0 && ip->word[2] == bpf_htonl(0xffff);
}

/* The absent address; the IPv4 one, 0.0.0.0, is not zero in this form. */
static __always_inline int ip_is_zero(const struct weft_ip *ip)
{
	return ip->word[0] == 0 && ip->word[1] == 0 && ip->word[2] == 0 && ip->word[3] == 0;
}

static __always_inline int ip_equal(const struct weft_ip *a, const struct weft_ip *b)
{
	return a->word[0] == b->word[0] && a->word[1] == b->word[1] && a->word[2] == b->word[2] && a->word[3] == b->word[3];
}

/* Loopback (all of 127/8) or unspecified, which the kernel turns into loopback: such traffic stays in the workload
 * and is left alone. */
static __always_inline int ip_stays_home(const struct weft_ip *ip)
{
	if (ip_is_v4(ip))
		return (bpf_ntohl(ip->word[3]) >> 24) == 127 || ip->word[3] == 0;
	return ip->word[0] == 0 && ip->word[1] == 0 && ip->word[2] == 0 &&
	       (ip->word[3] == 0 || ip->word[3] == bpf_htonl(1));
}

/* 127.0.0.1 or ::1, of the family of `like`. */
static __always_inline struct weft_ip ip_loopback(const struct weft_ip *like)
{
	struct weft_ip ip = { .word = { 0, 0, 0, bpf_htonl(1) } };
	if (ip_is_v4(like)) {
		ip.word[2] = bpf_htonl(0xffff);
		ip.word[3] = bpf_htonl(0x7f000001);
	}
	return ip;
}
