/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 * Birth and death of connections: attestation before the SYN, live flows for closing and telemetry. */
#pragma once
#include "attest.h"
#include "config.h"
#include "peer.h"
#include "report.h"
#include "share.h"
#include "traffic.h"
#include "verdict.h"
#include "workload.h"

/* Connections that the agent may have to close, because no process of ours carries them. A plain hash: an entry that
 * an LRU dropped would be a connection that no change of policy could end. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1048576);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u64);
	__type(value, struct weft_live_flow);
} flows SEC(".maps");

static __always_inline struct weft_ip ops_local_ip(struct bpf_sock_ops *ctx)
{
	if (ctx->family == AF_INET)
		return ip_from_v4(CTX(ctx, local_ip4));
	return CTX_IP6(ctx, local_ip6);
}

static __always_inline struct weft_ip ops_remote_ip(struct bpf_sock_ops *ctx)
{
	if (ctx->family == AF_INET)
		return ip_from_v4(CTX(ctx, remote_ip4));
	return CTX_IP6(ctx, remote_ip6);
}

/* The flow as its initiator sees it; `accepted`: the context is the accepting side. Of the ports, remote_port is a
 * 32-bit word in network order and local_port is in host order. */
static __always_inline struct weft_flow ops_flow(struct bpf_sock_ops *ctx, __u64 netns_cookie, const int accepted)
{
	struct weft_flow flow = { .netns_cookie = netns_cookie };
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

/* 0, or not when the flow could not be written down. */
static __always_inline long remember_live(struct bpf_sock_ops *ctx, const struct weft_flow *flow, struct weft_live_flow *live)
{
	__u64 socket_cookie = bpf_get_socket_cookie(ctx);
	long failed;

	__builtin_memcpy(&live->flow, flow, sizeof(*flow));
	failed = bpf_map_update_elem(&flows, &socket_cookie, live, BPF_ANY);
	if (failed)
		count(WEFT_COUNT_MAP_FULL);
	return failed;
}

/* Before the SYN leaves, which may be long after connect() decided (TCP_FASTOPEN_CONNECT): whoever receives this
 * connection must find who opened it, and by which generation it was decided. A socket whose enrolment is gone opens
 * nothing: its rights went with it, although its namespace may be enrolled again. */
static __always_inline void flow_opens(struct bpf_sock_ops *ctx, struct weft_socket *kept, __u64 netns_cookie)
{
	const struct weft_workload *source = workload_of(netns_cookie);
	struct weft_flow flow = ops_flow(ctx, netns_cookie, 0);
	struct weft_origin origin = {
		.source_id = kept->source_id,
		.destination_id = kept->destination_id,
		.dialled_port = kept->port,
		.backend_port = kept->backend_port,
		.reason = kept->reason,
		.generation = kept->generation,
	};
	const struct weft_config *config = the_config();

	if (!config || !source || source->id != kept->source_id)
		return;
	COPY_IP(origin.dialled, kept->ip);
	COPY_IP(origin.backend, kept->backend);
	bpf_sock_ops_cb_flags_set(ctx, BPF_SOCK_OPS_STATE_CB_FLAG); /* or the end of this socket is never told */
	if (is_captured(flow.destination_port, config->outbound_port)) {
		if (take_share(kept, kept->source_id, WEFT_SOCKET_CARRIED, 0))
			return; /* no record: the agent takes it for a stranger's, and refuses it */
		bpf_map_update_elem(&captured, &flow, &origin, BPF_ANY);
		return;
	}
	if (!is_attested(kept->reason)) {
		if (kept->reason == WEFT_REASON_NONE)
			account(kept);
		return;
	}
	/* What has no room, or could not be closed later, is not attested: the other side refuses it. */
	if (take_share(kept, kept->source_id, WEFT_SOCKET_LIVE, 0))
		return;
	if (kept->reason == WEFT_REASON_DIRECT) {
		struct weft_live_flow live = {
			.source_id = kept->source_id,
			.destination_id = kept->destination_id,
			.generation = kept->generation,
		};
		if (remember_live(ctx, &flow, &live))
			return;
	}
	flow.netns_cookie = 0;
	bpf_map_update_elem(&attested, &flow, &origin, BPF_ANY);
	account(kept);
}

/* `from`: the state before TCP_CLOSE. */
static __always_inline void flow_closes(struct bpf_sock_ops *ctx, struct weft_socket *kept, __u64 netns_cookie, __u32 from)
{
	struct weft_flow flow = kept->source_id ? ops_flow(ctx, netns_cookie, 0) : ops_flow(ctx, netns_cookie, 1);
	__u64 socket_cookie = bpf_get_socket_cookie(ctx);
	int carried = kept->flags & WEFT_SOCKET_CARRIED;

	give_back_share(kept);
	if (kept->flags & WEFT_SOCKET_ACCOUNTED)
		traffic_closes(ctx, kept, &flow, from);
	if (carried) { /* by the agent, which may not have taken its record: nothing else was recorded */
		bpf_map_delete_elem(&captured, &flow);
		return;
	}
	bpf_map_delete_elem(&flows, &socket_cookie);
	if (!kept->source_id)
		return; /* an accepted connection */
	flow.netns_cookie = 0;
	if (from == TCP_ESTABLISHED || from == TCP_FIN_WAIT1 || from == TCP_CLOSE_WAIT) {
		/* Aborted. What its peer has sent meanwhile is no attack: the arrival hook knows it by this record, which
		 * lets nobody in and goes when the map needs its place. */
		struct weft_origin *origin = bpf_map_lookup_elem(&attested, &flow);

		if (origin && !origin->taken)
			origin->taken = WEFT_TAKEN_BY_ONE;
		return;
	}
	bpf_map_delete_elem(&attested, &flow);
}

/* A socket from before these maps ends: the agent may have written it down among the live ones. */
static __noinline void flow_forgotten(struct bpf_sock_ops *ctx, __u32 op)
{
	__u64 socket_cookie = bpf_get_socket_cookie(ctx);

	if (op == BPF_SOCK_OPS_STATE_CB)
		bpf_map_delete_elem(&flows, &socket_cookie);
}

/* Storage of an accepted socket; null when there is no memory or no full socket yet. */
static __always_inline struct weft_socket *accepted_socket(struct bpf_sock_ops *ctx)
{
	struct weft_socket *kept = ctx->sk ? bpf_sk_storage_get(&sockets, ctx->sk, 0, BPF_SK_STORAGE_GET_F_CREATE) : 0;
	if (kept)
		kept->version = WEFT_SCHEMA;
	return kept;
}

/* What was let in without a record could be closed by nobody: the agent is told to cut it, now. */
static __noinline void forgotten(const struct weft_flow *flow, __u32 destination_id)
{
	struct weft_event event = {
		.time_ns = bpf_ktime_get_ns(),
		.destination_id = destination_id,
		.source_port = flow->source_port,
		.destination_port = flow->destination_port,
	};

	COPY_IP(event.source, flow->source);
	COPY_IP(event.destination, flow->destination);
	report_always(&event, WEFT_HOOK_FLOW, WEFT_REASON_NO_MEMORY);
}

/* Plain text that was let in at its SYN, which is too late to refuse it here. Its last ACK is the peer's to delay, and a
 * full backlog delays it too: what policy has come to deny meanwhile is counted, and the agent, which watches the count,
 * looks at all of them again. */
static __noinline void plaintext_arrives(struct bpf_sock_ops *ctx, struct weft_flow *flow, __u64 netns_cookie)
{
	const struct weft_address *address = address_of(&flow->destination);
	const struct weft_config *config = the_config();
	struct weft_live_flow live = { .inbound = 1, .destination_id = address ? address->id : 0 };
	struct weft_socket *kept = accepted_socket(ctx);

	flow->netns_cookie = netns_cookie;
	bpf_sock_ops_cb_flags_set(ctx, BPF_SOCK_OPS_STATE_CB_FLAG);
	if (kept) {
		kept->destination_id = live.destination_id;
		take_share(kept, live.destination_id, WEFT_SOCKET_LIVE, 1);
		account(kept);
		traffic_opens(kept, 1);
	}
	/* Without storage of its own its end would not be told, and the record would stay for good. */
	if (!kept || remember_live(ctx, flow, &live))
		return forgotten(flow, live.destination_id);
	if (!config || !address || plaintext_verdict(address, flow->destination_port, config->generation) != VERDICT_ALLOW)
		count(WEFT_COUNT_INBOUND_LATE);
}

/* A connection arrived at an enrolled workload: it comes from the agent (present the client behind it), from an
 * attested flow (its record lets in no other), or in plain text (keep a record, so that it can be closed). */
static __always_inline void flow_arrives(struct bpf_sock_ops *ctx, __u64 netns_cookie)
{
	struct weft_peer_key key = { .netns_cookie = netns_cookie };
	struct weft_flow flow = ops_flow(ctx, 0, 1);
	struct weft_origin *origin;
	struct weft_socket *kept;
	struct weft_peer *client;

	COPY_IP(key.ip, flow.source);
	key.port = flow.source_port;
	client = bpf_map_lookup_elem(&peers, &key);
	if (client) {
		kept = accepted_socket(ctx);
		if (kept) {
			kept->flags |= WEFT_SOCKET_PRESENTS;
			COPY_IP(kept->ip, client->ip);
			kept->port = client->port;
		}
		bpf_map_delete_elem(&peers, &key);
		return;
	}
	if (ip_equal(&flow.source, &flow.destination) || ip_stays_home(&flow.source))
		return; /* inside the workload */
	origin = bpf_map_lookup_elem(&attested, &flow);
	if (origin) {
		origin->taken = WEFT_TAKEN_BY_ONE; /* marked rather than deleted: a waypoint reads it after accept() */
		return;
	}
	plaintext_arrives(ctx, &flow, netns_cookie);
}
