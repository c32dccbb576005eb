/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 * Birth and death of connections: attestation before the SYN, live flows for closing and telemetry. */
#pragma once
#include "counters.h"
#include "ip.h"

static __always_inline struct weft_ip ops_local_ip(struct bpf_sock_ops *ctx)
{
	struct weft_ip ip = {};
	if (ctx->family == AF_INET)
		return ip_from_v4(CTX(ctx, local_ip4));
	ip.word[0] = CTX(ctx, local_ip6[0]);
	ip.word[1] = CTX(ctx, local_ip6[1]);
	ip.word[2] = CTX(ctx, local_ip6[2]);
	ip.word[3] = CTX(ctx, local_ip6[3]);
	return ip;
}

static __always_inline struct weft_ip ops_remote_ip(struct bpf_sock_ops *ctx)
{
	struct weft_ip ip = {};
	if (ctx->family == AF_INET)
		return ip_from_v4(CTX(ctx, remote_ip4));
	ip.word[0] = CTX(ctx, remote_ip6[0]);
	ip.word[1] = CTX(ctx, remote_ip6[1]);
	ip.word[2] = CTX(ctx, remote_ip6[2]);
	ip.word[3] = CTX(ctx, remote_ip6[3]);
	return ip;
}

/* The flow as its initiator sees it; `accepted`: the context is the accepting side. */
static __always_inline struct weft_flow ops_flow(struct bpf_sock_ops *ctx, __u64 cookie, const int accepted)
{
	struct weft_flow flow = { .netns_cookie = cookie };
	if (accepted) {
		flow.source = ops_remote_ip(ctx);
		flow.destination = ops_local_ip(ctx);
		flow.source_port = bpf_ntohl(CTX(ctx, remote_port));
		flow.destination_port = CTX(ctx, local_port);
	} else {
		flow.source = ops_local_ip(ctx);
		flow.destination = ops_remote_ip(ctx);
		flow.source_port = CTX(ctx, local_port);
		flow.destination_port = bpf_ntohl(CTX(ctx, remote_port));
	}
	return flow;
}

static __always_inline int is_captured(__u16 reason)
{
	return reason == WEFT_REASON_EVALUATE || reason == WEFT_REASON_HBONE || reason == WEFT_REASON_UNKNOWN_DESTINATION ||
	       reason == WEFT_REASON_AGENT_SERVICE;
}

/* Before the SYN leaves: whoever receives this connection must find who opened it. */
static __always_inline void flow_opens(struct bpf_sock_ops *ctx, struct weft_socket *kept, __u64 netns_cookie)
{
	struct weft_flow flow = ops_flow(ctx, netns_cookie, 0);
	struct weft_origin origin = {
		.source_id = kept->source_id,
		.destination_id = kept->destination_id,
		.dialled_port = kept->port,
		.backend_port = kept->backend_port,
		.reason = kept->reason,
	};
	const struct weft_config *settings = the_config();

	COPY_IP(origin.dialled, kept->ip);
	COPY_IP(origin.backend, kept->backend);
	bpf_sock_ops_cb_flags_set(ctx, BPF_SOCK_OPS_STATE_CB_FLAG);
	if (settings && flow.destination_port == settings->outbound_port) {
		bpf_map_update_elem(&captured, &flow, &origin, BPF_ANY);
		return;
	}
	if (kept->reason == WEFT_REASON_DIRECT) {
		__u64 cookie = bpf_get_socket_cookie(ctx);
		struct weft_live_flow live = {
			.source_id = kept->source_id,
			.destination_id = kept->destination_id,
			.generation = kept->generation,
		};
		__builtin_memcpy(&live.flow, &flow, sizeof(flow));
		if (bpf_map_update_elem(&flows, &cookie, &live, BPF_ANY)) {
			/* A flow that could not be closed later is not attested: the other side refuses it. */
			count(WEFT_COUNT_MAP_FULL);
			return;
		}
	}
	if (kept->reason == WEFT_REASON_DIRECT || kept->reason == WEFT_REASON_WAYPOINT) {
		flow.netns_cookie = 0;
		bpf_map_update_elem(&attested, &flow, &origin, BPF_ANY);
	}
}

static __always_inline void flow_closes(struct bpf_sock_ops *ctx, struct weft_socket *kept, __u64 netns_cookie)
{
	struct weft_flow flow = ops_flow(ctx, netns_cookie, 0);
	__u64 cookie = bpf_get_socket_cookie(ctx);

	bpf_map_delete_elem(&flows, &cookie);
	if (!kept->source_id)
		return; /* an accepted connection: nothing else was recorded */
	bpf_map_delete_elem(&captured, &flow);
	flow.netns_cookie = 0;
	bpf_map_delete_elem(&attested, &flow);
}

/* A connection arrived at an enrolled workload: it comes from the agent (present the client behind it),
 * from an attested flow (its opener keeps the record), or in plain text (keep a record, so that it can be closed). */
static __always_inline void flow_arrives(struct bpf_sock_ops *ctx, __u64 netns_cookie)
{
	struct weft_peer_key key = { .netns_cookie = netns_cookie };
	struct weft_flow flow = ops_flow(ctx, 0, 1);
	struct weft_peer *client;
	struct weft_socket *kept;

	COPY_IP(key.ip, flow.source);
	key.port = flow.source_port;
	client = bpf_map_lookup_elem(&peers, &key);
	if (client) {
		kept = ctx->sk ? bpf_sk_storage_get(&sockets, ctx->sk, 0, BPF_SK_STORAGE_GET_F_CREATE) : 0;
		if (kept) {
			kept->version = WEFT_SCHEMA;
			kept->presents = 1;
			COPY_IP(kept->ip, client->ip);
			kept->port = client->port;
		}
		bpf_map_delete_elem(&peers, &key);
		return;
	}
	if (ip_equal(&flow.source, &flow.destination) || ip_stays_home(&flow.source))
		return; /* inside the workload */
	if (bpf_map_lookup_elem(&attested, &flow))
		return;
	kept = ctx->sk ? bpf_sk_storage_get(&sockets, ctx->sk, 0, BPF_SK_STORAGE_GET_F_CREATE) : 0;
	if (kept) {
		struct weft_address *address = bpf_map_lookup_elem(&addresses, &flow.destination);
		__u64 cookie = bpf_get_socket_cookie(ctx);
		struct weft_live_flow live = { .inbound = 1, .destination_id = address ? address->id : 0 };

		flow.netns_cookie = netns_cookie;
		__builtin_memcpy(&live.flow, &flow, sizeof(flow));
		kept->version = WEFT_SCHEMA;
		bpf_sock_ops_cb_flags_set(ctx, BPF_SOCK_OPS_STATE_CB_FLAG);
		if (bpf_map_update_elem(&flows, &cookie, &live, BPF_ANY))
			count(WEFT_COUNT_MAP_FULL);
	}
}
