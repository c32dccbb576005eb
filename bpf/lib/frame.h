/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 * The IP packet in a frame: where it comes from and goes to, and what lies behind its headers. */
#pragma once
#include "ip.h"

#define ETH_HEADER 14
#define IPPROTO_HOP_OPTIONS 0
#define IPPROTO_ROUTING 43
#define IPPROTO_FRAGMENT 44
#define IPPROTO_AUTHENTICATION 51
#define IPPROTO_DESTINATION_OPTIONS 60
#define IP6_EXTENSIONS_MAX 6

struct ethernet_header {
	__u8 destination[6];
	__u8 source[6];
	__be16 type;
};
_Static_assert(sizeof(struct ethernet_header) == ETH_HEADER, "no padding");

/* Without options. */
struct ip4_header {
	__u8 version; /* with the length of the header: 0x45 */
	__u8 service;
	__be16 length;
	__be16 id;
	__be16 fragment;
	__u8 ttl;
	__u8 protocol;
	__be16 checksum;
	__be32 source;
	__be32 destination;
};

/* A packet as far as it was read. */
struct packet {
	struct weft_ip source;
	struct weft_ip destination;
	__u32 upper; /* offset of the header behind IP's */
	__u32 end;   /* of the packet in the frame, which may be padded */
	__u8 protocol;
	__u8 later_fragment; /* nothing of `upper` is in it */
};

/* 0 when it is not whole, or has options: source routes are the only ones that would matter, and they lead around every
 * check of the destination. */
static __always_inline int read_ip4(struct __sk_buff *skb, struct packet *packet)
{
	struct ip4_header header;

	if (bpf_skb_load_bytes(skb, ETH_HEADER, &header, sizeof(header)) || header.version != 0x45)
		return 0;
	packet->source = ip_from_v4(header.source);
	packet->destination = ip_from_v4(header.destination);
	packet->protocol = header.protocol;
	packet->later_fragment = (header.fragment & bpf_htons(0x1fff)) != 0;
	packet->upper = ETH_HEADER + sizeof(header);
	packet->end = ETH_HEADER + bpf_ntohs(header.length);
	return 1;
}

/* Walks the extension headers, behind which neighbour discovery could hide. Routing headers are refused as IPv4's
 * source routes are. */
static __always_inline int read_ip6(struct __sk_buff *skb, struct packet *packet)
{
	struct {
		__be32 version;
		__be16 length;
		__u8 next;
		__u8 hops;
		struct weft_ip source;
		struct weft_ip destination;
	} header;
	__u8 extension[4];

	if (bpf_skb_load_bytes(skb, ETH_HEADER, &header, sizeof(header)) || (header.version & bpf_htonl(0xf0000000)) != bpf_htonl(0x60000000))
		return 0;
	packet->source = header.source;
	packet->destination = header.destination;
	packet->protocol = header.next;
	packet->upper = ETH_HEADER + sizeof(header);
	packet->end = packet->upper + bpf_ntohs(header.length);
#pragma unroll
	for (int i = 0; i < IP6_EXTENSIONS_MAX; i++) {
		__u8 protocol = packet->protocol;

		if (protocol != IPPROTO_HOP_OPTIONS && protocol != IPPROTO_DESTINATION_OPTIONS && protocol != IPPROTO_FRAGMENT &&
		    protocol != IPPROTO_AUTHENTICATION)
			return protocol != IPPROTO_ROUTING;
		if (bpf_skb_load_bytes(skb, packet->upper, extension, sizeof(extension)))
			return 0;
		packet->protocol = extension[0];
		if (protocol == IPPROTO_FRAGMENT) {
			packet->upper += 8;
			if ((extension[2] << 8 | extension[3]) & 0xfff8) {
				packet->later_fragment = 1;
				return 1;
			}
		} else if (protocol == IPPROTO_AUTHENTICATION) {
			packet->upper += ((__u32)extension[1] + 2) * 4;
		} else {
			packet->upper += ((__u32)extension[1] + 1) * 8;
		}
	}
	return 0;
}

/* To all, or to a group: no policy could say who hears it. */
static __always_inline int is_group(const struct weft_ip *ip)
{
	if (ip_is_v4(ip))
		return (bpf_ntohl(ip->word[3]) >> 28) == 0xe || ip->word[3] == 0xffffffff;
	return (bpf_ntohl(ip->word[0]) >> 24) == 0xff;
}
