/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 * Who may reach an enrolled workload's sockets: attested flows, the agent, and what the agent is asked about. */
#pragma once
#include "attest.h"
#include "config.h"
#include "report.h"
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
static __always_inline int refuse_arrival(const struct weft_flow *flow, __u32 destination_id, enum weft_reason reason)
{
	struct weft_event event = {
		.time_ns = bpf_ktime_get_ns(),
		.destination_id = destination_id,
		.source_port = flow->source_port,
		.destination_port = flow->destination_port,
	};
	COPY_IP(event.source, flow->source);
	COPY_IP(event.destination, flow->destination);
	report(&event, WEFT_HOOK_LOOKUP, reason, WEFT_COUNT_INBOUND_REFUSED);
	return SK_DROP;
}

/* Hands the connection to the agent's plaintext listener, original address intact; without an agent it is refused. */
static __always_inline int to_plaintext_listener(struct bpf_sk_lookup *ctx, const struct weft_flow *flow, __u32 id)
{
	struct bpf_sock *listener = bpf_map_lookup_elem(&listeners, &id);
	long failed;

	if (!listener)
		return refuse_arrival(flow, id, WEFT_REASON_NO_AGENT);
	failed = bpf_sk_assign(ctx, listener, 0);
	bpf_sk_release(listener);
	if (failed)
		return refuse_arrival(flow, id, WEFT_REASON_NO_AGENT);
	count(WEFT_COUNT_INBOUND_AGENT);
	return SK_PASS;
}

/* Plain text from a peer without identity: to the app where nothing restricts it or the cached verdict of this port
 * allows it, refused where that verdict denies it, and to the agent otherwise. */
static __always_inline int arrival_in_clear(struct bpf_sk_lookup *ctx, const struct weft_flow *flow,
					    const struct weft_address *address, const struct weft_config *config)
{
	enum cached_verdict verdict = VERDICT_ALLOW;

	if (!(address->flags & WEFT_ADDRESS_PLAINTEXT_OPEN))
		verdict = cached_verdict(0, address->id, flow->destination_port, config->generation);
	if (verdict == VERDICT_ALLOW) {
		count(WEFT_COUNT_INBOUND_OPEN);
		return SK_PASS;
	}
	if (verdict == VERDICT_DENY)
		return refuse_arrival(flow, address->id, WEFT_REASON_DENIED);
	return to_plaintext_listener(ctx, flow, address->id);
}

/* Sees a SYN, or a datagram that no connected socket takes. What passes goes on to the kernel's own lookup. */
static __always_inline int arrival(struct bpf_sk_lookup *ctx)
{
	const struct weft_config *config = the_config();
	const struct weft_address *address;
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
		return refuse_arrival(&flow, 0, WEFT_REASON_RESERVED_PORT);
	if (bpf_map_lookup_elem(&attested, &flow)) {
		count(WEFT_COUNT_INBOUND_ATTESTED);
		return SK_PASS;
	}
	address = address_of(&flow.destination);
	if (!address || !(address->flags & WEFT_ADDRESS_LOCAL))
		return refuse_arrival(&flow, 0, WEFT_REASON_NOT_LOCAL);
	return arrival_in_clear(ctx, &flow, address, config);
}
