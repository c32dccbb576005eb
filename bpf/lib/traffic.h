/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 * Accounts of connections that no process of ours carries: sums for the metrics, by who talks to whom, and one record of
 * each end for the log. A lost record loses no sum. */
#pragma once
#include "../abi/event.h"
#include "../abi/traffic.h"
#include "counters.h"
#include "report.h"
#include "socket.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct weft_traffic_key);
	__type(value, struct weft_traffic);
} traffic SEC(".maps");

/* 1 MiB: some 8,000 ends between two reads of the agent. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20);
} ended SEC(".maps");

/* The kernel's own, as far as they are read; the loader finds the fields by name in whichever kernel it loads into. */
struct sock_common {
	unsigned long skc_flags;
} __attribute__((preserve_access_index));

struct sock {
	struct sock_common __sk_common;
} __attribute__((preserve_access_index));

struct tcp_sock {
	__u32 snd_una;
	__u32 write_seq;
} __attribute__((preserve_access_index));

/* enum sock_flags of the kernel: the peer's FIN has arrived. */
#define SOCK_DONE 1

static __always_inline struct weft_traffic *traffic_of(const struct weft_socket *kept, int inbound)
{
	struct weft_traffic_key key = {
		.source_id = kept->source_id,
		.destination_id = kept->destination_id,
		.reason = kept->reason,
		.inbound = inbound,
	};
	struct weft_traffic *sums, none = {};

	if (kept->flags & WEFT_SOCKET_VIP)
		COPY_IP(key.vip, kept->ip);
	sums = bpf_map_lookup_elem(&traffic, &key);
	if (sums)
		return sums;
	bpf_map_update_elem(&traffic, &key, &none, BPF_NOEXIST);
	sums = bpf_map_lookup_elem(&traffic, &key);
	if (sums)
		return sums;
	count(WEFT_COUNT_MAP_FULL);
	__builtin_memset(&key, 0, sizeof(key));
	return bpf_map_lookup_elem(&traffic, &key); /* made by the agent */
}

/* From here on the socket remembers when it was opened in place of its backend, which is known by then. */
static __always_inline void account(struct weft_socket *kept)
{
	__u64 now = bpf_ktime_get_ns();

	kept->flags |= WEFT_SOCKET_ACCOUNTED;
	if (kept->source_id && !ip_equal(&kept->ip, &kept->backend))
		kept->flags |= WEFT_SOCKET_VIP;
	__builtin_memcpy(&kept->backend, &now, sizeof(now));
}

static __noinline void traffic_opens(const struct weft_socket *kept, int inbound)
{
	struct weft_traffic *sums = traffic_of(kept, inbound);

	if (sums)
		__sync_fetch_and_add(&sums->opened, 1);
}

/* Payload that the peer has acknowledged, and payload that has arrived. TCP counts SYN and FIN as a byte each: that of the
 * opener's SYN always, a FIN of ours once everything that was queued is acknowledged, the peer's once it is in order. */
static __always_inline void payload_of(struct bpf_sock_ops *ctx, __u32 from, int inbound, __u64 *sent, __u64 *received)
{
	struct tcp_sock *tcp = ctx->sk ? bpf_skc_to_tcp_sock(ctx->sk) : 0;
	__u64 acked = ctx->bytes_acked, arrived = ctx->bytes_received;
	int has_fin = from == TCP_FIN_WAIT1 || from == TCP_FIN_WAIT2 || from == TCP_CLOSING || from == TCP_LAST_ACK;

	if (!inbound && acked)
		acked -= 1;
	if (tcp) {
		if (has_fin && acked && tcp->snd_una == tcp->write_seq)
			acked -= 1;
		if (arrived && (((struct sock *)tcp)->__sk_common.skc_flags & (1UL << SOCK_DONE)))
			arrived -= 1;
	}
	*sent = acked;
	*received = arrived;
}

static __noinline void traffic_closes(struct bpf_sock_ops *ctx, struct weft_socket *kept, const struct weft_flow *flow, __u32 from)
{
	int inbound = kept->source_id == 0, failed = from == TCP_SYN_SENT;
	struct weft_traffic *sums = traffic_of(kept, inbound);
	__u32 id = inbound ? kept->destination_id : kept->source_id;
	__u64 now = bpf_ktime_get_ns(), opened = 0, sent = 0, received = 0;
	struct weft_ended told = {
		.socket_cookie = bpf_get_socket_cookie(ctx),
		.source_id = kept->source_id,
		.destination_id = kept->destination_id,
		.reason = kept->reason,
		.inbound = inbound,
		.state = from,
		.retransmits = ctx->total_retrans,
		.rtt_us = ctx->srtt_us >> 3,
	};

	kept->flags &= ~WEFT_SOCKET_ACCOUNTED;
	if (!failed)
		payload_of(ctx, from, inbound, &sent, &received);
	told.from_client = inbound ? received : sent;
	told.from_server = inbound ? sent : received;
	if (sums) {
		__sync_fetch_and_add(failed ? &sums->failed : &sums->closed, 1);
		__sync_fetch_and_add(&sums->from_client, told.from_client);
		__sync_fetch_and_add(&sums->from_server, told.from_server);
		__sync_fetch_and_add(&sums->retransmits, told.retransmits);
	}
	if (!is_end_told(id, now))
		return leave_untold(id, WEFT_HOOK_FLOW, kept->reason);
	__builtin_memcpy(&opened, &kept->backend, sizeof(opened));
	told.duration_ms = (now - opened) / 1000000;
	__builtin_memcpy(&told.flow, flow, sizeof(*flow));
	if (!inbound) {
		COPY_IP(told.dialled, kept->ip);
		told.dialled_port = kept->port;
	}
	if (bpf_ringbuf_output(&ended, &told, sizeof(told), BPF_RB_NO_WAKEUP))
		leave_untold(id, WEFT_HOOK_FLOW, kept->reason);
}
