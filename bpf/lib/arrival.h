/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 * Who may reach an enrolled workload's sockets: attested flows, the agent, and what the agent is asked about. */
#pragma once
#include "attest.h"
#include "config.h"
#include "report.h"
#include "service.h"
#include "verdict.h"
#include "workload.h"

/* The agent's plaintext listener of each local workload. key: workload id. A sock hash, because only a socket out of
 * one can be assigned; the entry goes by itself when the agent closes the socket or dies. */
struct {
	__uint(type, BPF_MAP_TYPE_SOCKHASH);
	__uint(max_entries, 4096);
	__type(key, __u32);
	__type(value, __u64);
} listeners SEC(".maps");

/* Whose namespace this copy of the program is attached to: the hook itself cannot ask. Written before it is attached, into data of this copy:
 * so it can be loaded before anybody knows the namespace. 0 is no namespace's, and nobody arrives there. */
volatile __u64 own_netns_cookie = 0;

/* remote_port is in network order, local_port in host order. */
static __always_inline struct weft_flow lookup_flow(struct bpf_sk_lookup *ctx)
{
	struct weft_flow flow = {
		.source_port = bpf_ntohs(ctx->remote_port),
		.destination_port = ctx->local_port,
	};
	if (ctx->family == AF_INET) {
		flow.source = ip_from_v4(CTX(ctx, remote_ip4));
		flow.destination = ip_from_v4(CTX(ctx, local_ip4));
	} else {
		flow.source = CTX_IP6(ctx, remote_ip6);
		flow.destination = CTX_IP6(ctx, local_ip6);
	}
	return flow;
}

/* The SYN is answered with a reset, as from a closed port: the peer hears at once. */
static __noinline int refuse_arrival(const struct weft_flow *flow, __u32 source_id, __u32 destination_id,
					  enum weft_reason reason)
{
	struct weft_event event = {
		.time_ns = bpf_ktime_get_ns(),
		.source_id = source_id,
		.destination_id = destination_id,
		.source_port = flow->source_port,
		.destination_port = flow->destination_port,
	};
	COPY_IP(event.source, flow->source);
	COPY_IP(event.destination, flow->destination);
	report(&event, WEFT_HOOK_LOOKUP, reason, WEFT_COUNT_INBOUND_REFUSED);
	return SK_DROP;
}

/* As refuse_arrival for what may be a segment rather than a SYN, which this hook cannot see: what two ends that knew one
 * another still had on the way when one of them was aborted is counted, and not told. */
static __noinline int refuse_unattested(const struct weft_flow *flow, __u32 source_id, __u32 destination_id,
					     const struct weft_config *config)
{
	struct weft_flow reverse = { .source_port = flow->destination_port, .destination_port = flow->source_port };

	COPY_IP(reverse.source, flow->destination);
	COPY_IP(reverse.destination, flow->source);
	if (flow->source_port == config->hbone_port || bpf_map_lookup_elem(&attested, &reverse)) {
		count(WEFT_COUNT_INBOUND_REFUSED);
		return SK_DROP;
	}
	return refuse_arrival(flow, source_id, destination_id, WEFT_REASON_NOT_ATTESTED);
}

/* Hands the connection to the agent's plaintext listener, original address intact; without an agent it is refused.
 * The agent looks for the attestation first, so this is no way to become a peer without identity. */
static __noinline int to_plaintext_listener(struct bpf_sk_lookup *ctx, const struct weft_flow *flow,
						 __u32 source_id, __u32 id)
{
	struct bpf_sock *listener = bpf_map_lookup_elem(&listeners, &id);
	long failed;

	if (!listener)
		return refuse_arrival(flow, source_id, id, WEFT_REASON_NO_AGENT);
	failed = bpf_sk_assign(ctx, listener, 0);
	bpf_sk_release(listener);
	if (failed)
		return refuse_arrival(flow, source_id, id, WEFT_REASON_NO_AGENT);
	count(WEFT_COUNT_INBOUND_AGENT);
	return SK_PASS;
}

/* Plain text from a peer without identity: to the app where nothing restricts it or the cached verdict of this port
 * allows it, refused where that verdict denies it, and to the agent otherwise. */
static __noinline int arrival_in_clear(struct bpf_sk_lookup *ctx, const struct weft_flow *flow,
					    const struct weft_address *address, const struct weft_config *config)
{
	enum cached_verdict verdict = plaintext_verdict(address, flow->destination_port, config->generation);

	if (verdict == VERDICT_ALLOW) {
		/* Whatever is let in must be remembered, or no later policy could close it. */
		if (!has_room(address->id, WEFT_SOCKET_LIVE))
			return refuse_arrival(flow, 0, address->id, WEFT_REASON_SHARE);
		count(WEFT_COUNT_INBOUND_OPEN);
		return SK_PASS;
	}
	if (verdict == VERDICT_DENY)
		return refuse_arrival(flow, 0, address->id, WEFT_REASON_DENIED);
	return to_plaintext_listener(ctx, flow, 0, address->id);
}

/* Whether what was dialled is bound to a waypoint by now, which a connection from app to app would go around. */
static __always_inline int is_bound(const struct weft_origin *origin)
{
	struct weft_service_key key = { .port = origin->dialled_port, .protocol = IPPROTO_TCP };
	const struct weft_service *service;
	const struct weft_address *address;

	COPY_IP(key.ip, origin->dialled);
	service = bpf_map_lookup_elem(&services, &key);
	if (service)
		return service->waypoint_id != 0;
	address = address_of(&key.ip);
	return address && address->waypoint_id;
}

/* A decision counts in its own generation. Of an older one, what policy says now counts: a socket can be connected long
 * before its SYN leaves. A waypoint judges for itself. */
static __always_inline enum cached_verdict present_verdict(const struct weft_origin *origin, __u16 port, __u32 generation)
{
	if (origin->reason != WEFT_REASON_DIRECT || origin->generation == generation)
		return VERDICT_ALLOW;
	if (is_bound(origin))
		return VERDICT_UNKNOWN;
	return cached_verdict(origin->source_id, origin->destination_id, port, generation);
}

/* A flow of this node, known from before its SYN left. It lets in one connection, to the enrolment that was meant: not
 * to a neighbour that took the address, and not a second SYN of the same ends. */
static __always_inline int arrival_attested(struct bpf_sk_lookup *ctx, const struct weft_flow *flow,
					    struct weft_origin *origin, const struct weft_workload *own,
					    const struct weft_config *config)
{
	enum cached_verdict verdict;

	if (origin->taken == WEFT_TAKEN_TOLD) { /* once for each connection: its peer may have sent a whole window */
		count(WEFT_COUNT_INBOUND_REFUSED);
		return SK_DROP;
	}
	if (origin->taken)
		origin->taken = WEFT_TAKEN_TOLD;
	if (origin->taken || origin->destination_id != own->id)
		return refuse_arrival(flow, origin->source_id, own->id, WEFT_REASON_NOT_ATTESTED);
	verdict = present_verdict(origin, flow->destination_port, config->generation);
	if (verdict == VERDICT_DENY)
		return refuse_arrival(flow, origin->source_id, own->id, WEFT_REASON_DENIED);
	if (verdict == VERDICT_UNKNOWN)
		return to_plaintext_listener(ctx, flow, origin->source_id, own->id);
	count(WEFT_COUNT_INBOUND_ATTESTED);
	return SK_PASS;
}

/* No attestation: from outside the mesh, or from a workload of this node that got around its hooks. */
static __noinline int arrival_unattested(struct bpf_sk_lookup *ctx, const struct weft_flow *flow,
					      const struct weft_workload *own, const struct weft_config *config)
{
	const struct weft_address *address = address_of(&flow->destination);
	const struct weft_address *source = address_of(&flow->source);

	if (!address || !(address->flags & WEFT_ADDRESS_LOCAL) || address->id != own->id)
		return refuse_arrival(flow, 0, 0, WEFT_REASON_NOT_LOCAL);
	if (source && (source->flags & WEFT_ADDRESS_LOCAL))
		return source->id == own->id ? SK_PASS : refuse_unattested(flow, source->id, own->id, config);
	return arrival_in_clear(ctx, flow, address, config);
}

/* Sees a SYN, or a datagram that no connected socket takes. What passes goes on to the kernel's own lookup. */
static __always_inline int arrival(struct bpf_sk_lookup *ctx)
{
	const struct weft_config *config = the_config();
	const struct weft_workload *own;
	struct weft_origin *origin;
	struct weft_flow flow;
	__u32 port = CTX(ctx, local_port);

	if (ctx->ingress_ifindex == LOOPBACK_IFINDEX)
		return SK_PASS;
	flow = lookup_flow(ctx);
	/* The workload itself, or the agent beside it, by the workload's own address: the kernel then names the
	 * interface that holds the address. From the wire such a source is a martian, and its SYN-ACK never leaves. */
	if (ip_equal(&flow.source, &flow.destination))
		return SK_PASS;
	if (!config)
		return SK_DROP;
	if (ctx->protocol != IPPROTO_TCP)
		return port == config->dns_port ? SK_DROP : SK_PASS;
	if (port == config->hbone_port)
		return SK_PASS; /* mutual TLS asks for itself */
	if (port == config->outbound_port || port == config->plaintext_port || port == config->dns_port)
		return refuse_arrival(&flow, 0, 0, WEFT_REASON_RESERVED_PORT);
	own = workload_of(own_netns_cookie);
	if (!own)
		return refuse_arrival(&flow, 0, 0, WEFT_REASON_NOT_LOCAL);
	origin = bpf_map_lookup_elem(&attested, &flow);
	if (origin)
		return arrival_attested(ctx, &flow, origin, own, config);
	return arrival_unattested(ctx, &flow, own, config);
}
