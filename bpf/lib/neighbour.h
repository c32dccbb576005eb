/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 * What a workload may say on its link about who has which address: of itself, the truth; of others, nothing. Claims that
 * neighbours believe are ARP and ICMPv6's neighbour discovery; both are small, and everything in them is looked at. */
#pragma once
#include "ip.h"

#define ARP_REQUEST 1
#define ARP_REPLY 2
#define ETH_P_IPV4 0x0800

/* Fixed by RFC 4861, RFC 4443, RFC 2710 and RFC 3810. */
#define ND_ROUTER_SOLICITATION 133
#define ND_SOLICITATION 135
#define ND_ADVERTISEMENT 136
#define MLD_QUERY 130
#define MLD_REPORT 131
#define MLD_DONE 132
#define MLD_REPORT_2 143
#define ND_SOURCE_LINK 1
#define ND_TARGET_LINK 2
#define ND_OPTIONS_MAX 4

struct arp {
	__be16 hardware;
	__be16 protocol;
	__u8 hardware_length;
	__u8 protocol_length;
	__be16 operation;
	__u8 sender_mac[6];
	__be32 sender_ip __attribute__((packed));
	__u8 target_mac[6];
	__be32 target_ip __attribute__((packed));
} __attribute__((packed));

/* Whose link it is. */
struct owner {
	__u8 mac[6];
	struct weft_ip ip4;
	struct weft_ip ip6;
};

static __always_inline int mac_equal(const __u8 *a, const __u8 *b)
{
	return a[0] == b[0] && a[1] == b[1] && a[2] == b[2] && a[3] == b[3] && a[4] == b[4] && a[5] == b[5];
}

/* The address that the kernel inside makes of its MAC (RFC 4291, modified EUI-64). It is good for neighbour discovery
 * and nothing else: no policy knows it. */
static __always_inline int is_own_link_local(const struct owner *owner, const struct weft_ip *ip)
{
	const __u8 *mac = owner->mac;

	return ip->word[0] == bpf_htonl(0xfe800000) && ip->word[1] == 0 &&
	       ip->word[2] == bpf_htonl(((__u32)(mac[0] ^ 2) << 24) | ((__u32)mac[1] << 16) | ((__u32)mac[2] << 8) | 0xff) &&
	       ip->word[3] == bpf_htonl(0xfe000000 | ((__u32)mac[3] << 16) | ((__u32)mac[4] << 8) | mac[5]);
}

/* An absent family is all zero, which is no address to come from. */
static __always_inline int is_own_ip(const struct owner *owner, const struct weft_ip *ip)
{
	return !ip_is_zero(ip) && (ip_equal(ip, &owner->ip4) || ip_equal(ip, &owner->ip6));
}

static __always_inline int is_own_ip6(const struct owner *owner, const struct weft_ip *ip)
{
	return is_own_ip(owner, ip) || is_own_link_local(owner, ip);
}

/* A request or an answer about itself. Sender 0.0.0.0 asks whether an address is free (RFC 5227) and claims nothing. */
static __always_inline int arp_is_true(struct __sk_buff *skb, __u32 offset, const struct owner *owner)
{
	struct arp arp;

	if (bpf_skb_load_bytes(skb, offset, &arp, sizeof(arp)))
		return 0;
	if (arp.hardware != bpf_htons(1) || arp.protocol != bpf_htons(ETH_P_IPV4) || arp.hardware_length != 6 || arp.protocol_length != 4)
		return 0;
	if (arp.operation != bpf_htons(ARP_REQUEST) && arp.operation != bpf_htons(ARP_REPLY))
		return 0;
	if (!mac_equal(arp.sender_mac, owner->mac))
		return 0;
	if (arp.sender_ip == 0)
		return arp.operation == bpf_htons(ARP_REQUEST);
	return ip_is_v4(&owner->ip4) && arp.sender_ip == owner->ip4.word[3];
}

/* Options are type, length in units of 8 bytes, value. One that names a link-layer address names the own one; one that is
 * cut off, or a fifth, is not looked at any further. */
static __always_inline int nd_options_are_true(struct __sk_buff *skb, __u32 offset, __u32 end, const struct owner *owner)
{
	__u8 option[8];

#pragma unroll
	for (int i = 0; i < ND_OPTIONS_MAX; i++) {
		if (offset >= end)
			return 1;
		if (offset + sizeof(option) > end || bpf_skb_load_bytes(skb, offset, option, sizeof(option)) || option[1] == 0)
			return 0;
		if ((option[0] == ND_SOURCE_LINK || option[0] == ND_TARGET_LINK) &&
		    (option[1] != 1 || !mac_equal(option + 2, owner->mac)))
			return 0;
		offset += (__u32)option[1] * 8;
	}
	return offset >= end;
}

/* What ICMPv6 says about neighbours, routers and groups. */
enum claim {
	CLAIM_NONE, /* it speaks of something else */
	CLAIM_TRUE,
	CLAIM_FALSE,
};

/* Routers are found by nobody here (the default route is written), so an advertisement or a redirect is a lie whoever
 * sends it, and so is a query of a multicast router. */
static __always_inline enum claim icmp6_claim(struct __sk_buff *skb, __u32 offset, __u32 end, const struct owner *owner,
					      const struct weft_ip *source)
{
	struct weft_ip target;
	__u8 type;

	if (bpf_skb_load_bytes(skb, offset, &type, sizeof(type)))
		return CLAIM_FALSE;
	if (type == MLD_REPORT || type == MLD_DONE || type == MLD_REPORT_2)
		return CLAIM_TRUE;
	if (type == ND_ROUTER_SOLICITATION)
		return nd_options_are_true(skb, offset + 8, end, owner) ? CLAIM_TRUE : CLAIM_FALSE;
	if (type == ND_SOLICITATION || type == ND_ADVERTISEMENT) {
		if (bpf_skb_load_bytes(skb, offset + 8, &target, sizeof(target)))
			return CLAIM_FALSE;
		/* Asked from no address: whether one's own is free. An answer is about oneself. */
		if ((type == ND_ADVERTISEMENT || ip_is_zero(source)) && !is_own_ip6(owner, &target))
			return CLAIM_FALSE;
		return nd_options_are_true(skb, offset + 24, end, owner) ? CLAIM_TRUE : CLAIM_FALSE;
	}
	if (type == MLD_QUERY || (type >= 134 && type <= 137) || type == 141 || type == 142 || (type >= 144 && type <= 153))
		return CLAIM_FALSE;
	return CLAIM_NONE;
}
