/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 * The guard of a workload's link, on the host's side of it: frames that say they come from somebody else, and packets to
 * a workload of another node that the agent did not send, end here. It holds whatever the workload does inside of its
 * namespace (raw sockets, addresses, routes, processes that left the cgroup), and when no agent runs. */
#pragma once
#include "../abi/link.h"
#include "config.h"
#include "frame.h"
#include "neighbour.h"
#include "report.h"
#include "service.h"
#include "socket.h"
#include "workload.h"

#define ETH_P_ARP 0x0806
#define ETH_P_IPV6 0x86dd
#define IPPROTO_ICMPV6 58
#define TCP_SYN 2
#define TCP_RST 4
#define TCP_ACK 16
#define TCP_ESTABLISHED 1
#define TCP_FIN_WAIT1 4
#define LINK_EVENT_PERIOD_NS 1000000000ull
#define LINK_CAUSES (WEFT_REASON_LINK_CLEAR - WEFT_REASON_LINK_FRAME + 1)
#define TC_PASS -1 /* TC_ACT_UNSPEC, TCX_NEXT: other programs of the host may still have their say */
#define TC_DROP 2

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, struct weft_link);
} links SEC(".maps");

_Static_assert(LINK_CAUSES == sizeof(((struct weft_link *)0)->dropped) / sizeof(__u64), "each cause has a number of its own");

/* The frame comes from a socket that the agent marked, or from one that such a listener accepted. The socket travels with
 * the frame from the workload's namespace to here, so there is nothing that an app could write into a packet to look so. */
static __always_inline int is_agents(struct __sk_buff *skb)
{
	struct bpf_sock *socket = skb->sk;
	struct bpf_sock *full;

	if (!socket)
		return 0;
	full = bpf_sk_fullsock(socket);
	if (!full)
		full = bpf_get_listener_sock(socket); /* a handshake under way belongs to its listener */
	return full && bpf_sk_storage_get(&own_sockets, full, 0, 0) != 0;
}

/* A live TCP connection of the kernel's own making: a raw socket has neither this state nor this protocol. */
static __always_inline int is_live_stream(struct __sk_buff *skb)
{
	struct bpf_sock *socket = skb->sk;
	struct bpf_sock *full = socket ? bpf_sk_fullsock(socket) : 0;

	return full && full->protocol == IPPROTO_TCP && (full->state == TCP_ESTABLISHED || full->state >= TCP_FIN_WAIT1) &&
	       full->state != TCP_CLOSE;
}

/* Between tunnel ends only: what the agent sends, what a waypoint sends, and segments without content that the kernel
 * makes with no socket at hand (the last acknowledgements of a closed connection, resets, SYN cookies). */
static __always_inline int is_tunnel(struct __sk_buff *skb, const struct packet *packet, const struct weft_workload *workload, __u16 hbone_port)
{
	struct {
		__be16 source;
		__be16 destination;
		__be32 sequence;
		__be32 acknowledged;
		__u8 header_length;
		__u8 flags;
	} tcp;

	if (packet->protocol != IPPROTO_TCP || packet->later_fragment)
		return 0;
	if (bpf_skb_load_bytes(skb, packet->upper, &tcp, sizeof(tcp)))
		return 0;
	if (tcp.source != bpf_htons(hbone_port) && tcp.destination != bpf_htons(hbone_port))
		return 0;
	if ((workload->flags & WEFT_WORKLOAD_NATIVE_TUNNEL) || is_agents(skb))
		return 1;
	return packet->upper + (tcp.header_length >> 4) * 4 == packet->end && (tcp.flags & (TCP_RST | TCP_ACK)) &&
	       (!(tcp.flags & TCP_SYN) || tcp.source == bpf_htons(hbone_port));
}

/* Where a packet goes, as far as the mesh is concerned. */
static __always_inline int may_leave(struct __sk_buff *skb, const struct packet *packet, const struct weft_workload *workload)
{
	const struct weft_config *config = the_config();
	const struct weft_address *address = address_of(&packet->destination);

	if (!config)
		return 0;
	if (address) {
		if ((address->flags & WEFT_ADDRESS_LOCAL) || !(address->flags & WEFT_ADDRESS_HBONE))
			return 1; /* sk_lookup asks what streams to this node are; nothing else leaves it */
		if (packet->protocol == IPPROTO_UDP && (config->flags & WEFT_CONFIG_DATAGRAMS_CLEAR))
			return 1;
		return is_tunnel(skb, packet, workload, config->hbone_port);
	}
	if (is_mesh_vip(&packet->destination))
		return 0; /* whoever translates it behind us would send it on in clear */
	if (!(config->flags & WEFT_CONFIG_INCOMPLETE))
		return 1;
	/* It may be anybody's. Connections that were let out before are not cut by an agent that starts. */
	return is_agents(skb) || is_live_stream(skb) || is_tunnel(skb, packet, workload, config->hbone_port);
}

/* 0, or why the packet ends here. */
static __always_inline enum weft_reason judge_packet(struct __sk_buff *skb, const struct packet *packet, const struct owner *owner,
						     const struct weft_workload *workload, int to_group)
{
	if (packet->protocol == IPPROTO_ICMPV6 && !ip_is_v4(&packet->destination) && !packet->later_fragment) {
		switch (icmp6_claim(skb, packet->upper, packet->end, owner, &packet->source)) {
		case CLAIM_TRUE:
			return is_own_ip6(owner, &packet->source) || ip_is_zero(&packet->source) ? WEFT_REASON_NONE :
												   WEFT_REASON_LINK_SOURCE;
		case CLAIM_FALSE:
			return WEFT_REASON_LINK_NEIGHBOUR;
		case CLAIM_NONE:
			break;
		}
	}
	if (!is_own_ip(owner, &packet->source))
		return WEFT_REASON_LINK_SOURCE;
	if (to_group || is_group(&packet->destination))
		return WEFT_REASON_LINK_GROUP;
	return may_leave(skb, packet, workload) ? WEFT_REASON_NONE : WEFT_REASON_LINK_CLEAR;
}

/* Most frames by far: TCP over IPv4, whole, from the owner to an address of this node. Read where it lies; whatever is
 * otherwise takes the whole way below, which says the same of these. */
static __always_inline int is_usual(struct __sk_buff *skb, const struct weft_link *link, const struct weft_workload *workload)
{
	struct {
		struct ethernet_header link;
		struct ip4_header ip;
	} __attribute__((packed)) *frame = (void *)(long)skb->data;
	const struct weft_address *address;
	struct weft_ip to;

	if ((void *)(frame + 1) > (void *)(long)skb->data_end || skb->vlan_present)
		return 0;
	if (frame->link.type != bpf_htons(ETH_P_IPV4) || frame->ip.version != 0x45 || frame->ip.protocol != IPPROTO_TCP ||
	    (frame->ip.fragment & bpf_htons(0x3fff)) || (frame->link.destination[0] & 1))
		return 0;
	if (!mac_equal(frame->link.source, link->mac) || frame->ip.source != workload->ip4.word[3] || !ip_is_v4(&workload->ip4))
		return 0;
	to = ip_from_v4(frame->ip.destination);
	address = address_of(&to);
	return address && (address->flags & WEFT_ADDRESS_LOCAL) && the_config();
}

/* 0, or why the frame ends here; what is known of the packet by then stands in `packet`. */
static __always_inline enum weft_reason judge(struct __sk_buff *skb, const struct weft_link *link, const struct weft_workload *workload,
					      struct packet *packet)
{
	struct ethernet_header frame;
	struct owner owner = {};

	__builtin_memcpy(owner.mac, link->mac, sizeof(owner.mac));
	COPY_IP(owner.ip4, workload->ip4);
	COPY_IP(owner.ip6, workload->ip6);
	if (bpf_skb_load_bytes(skb, 0, &frame, sizeof(frame)) || skb->vlan_present)
		return WEFT_REASON_LINK_FRAME;
	if (!mac_equal(frame.source, owner.mac))
		return WEFT_REASON_LINK_SOURCE; /* the bridge must not learn that a neighbour lives here */
	if (frame.type == bpf_htons(ETH_P_ARP))
		return arp_is_true(skb, ETH_HEADER, &owner) ? WEFT_REASON_NONE : WEFT_REASON_LINK_NEIGHBOUR;
	if (frame.type == bpf_htons(ETH_P_IPV4)) {
		if (!read_ip4(skb, packet))
			return WEFT_REASON_LINK_FRAME;
	} else if (frame.type == bpf_htons(ETH_P_IPV6)) {
		if (!read_ip6(skb, packet))
			return WEFT_REASON_LINK_FRAME;
	} else {
		return WEFT_REASON_LINK_FRAME;
	}
	return judge_packet(skb, packet, &owner, workload, frame.destination[0] & 1);
}

/* Counted always, told once a second for each cause: whoever sends such frames can send very many. */
static __noinline int drop(struct weft_link *link, __u32 source_id, const struct packet *packet, enum weft_reason reason)
{
	struct weft_event event = {
		.time_ns = bpf_ktime_get_ns(),
		.source_id = source_id,
	};
	__u32 cause = reason - WEFT_REASON_LINK_FRAME;

	if (!link || !packet || cause >= LINK_CAUSES)
		return TC_DROP;
	__sync_fetch_and_add(&link->dropped[cause], 1);
	if (link->told_ns[cause] && event.time_ns - link->told_ns[cause] < LINK_EVENT_PERIOD_NS) {
		count(WEFT_COUNT_LINK_DROPPED);
		return TC_DROP;
	}
	link->told_ns[cause] = event.time_ns;
	COPY_IP(event.source, packet->source);
	COPY_IP(event.destination, packet->destination);
	report(&event, WEFT_HOOK_LINK, reason, WEFT_COUNT_LINK_DROPPED);
	return TC_DROP;
}

static __noinline int guard_unusual(struct __sk_buff *skb, struct weft_link *link, const struct weft_workload *workload)
{
	struct packet packet = {};
	enum weft_reason reason;

	if (!link || !workload)
		return TC_DROP;
	reason = judge(skb, link, workload, &packet);
	return reason == WEFT_REASON_NONE ? TC_PASS : drop(link, workload->id, &packet, reason);
}

/* A link without an entry, or of nobody who is enrolled, is closed. */
static __always_inline int guard(struct __sk_buff *skb)
{
	__u32 index = skb->ifindex;
	struct weft_link *link = bpf_map_lookup_elem(&links, &index);
	const struct weft_workload *workload = link ? workload_of(link->netns_cookie) : 0;

	if (!workload) {
		count(WEFT_COUNT_LINK_DROPPED);
		return TC_DROP;
	}
	return is_usual(skb, link, workload) ? TC_PASS : guard_unusual(skb, link, workload);
}
