/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 * Who may reach an enrolled workload's sockets: attested flows, the agent, and what the agent is asked about. */
#pragma once
#include "ip.h"
#include "maps.h"
#include "report.h"

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
		flow.source.word[0] = CTX(ctx, remote_ip6[0]);
		flow.source.word[1] = CTX(ctx, remote_ip6[1]);
		flow.source.word[2] = CTX(ctx, remote_ip6[2]);
		flow.source.word[3] = CTX(ctx, remote_ip6[3]);
		flow.destination.word[0] = CTX(ctx, local_ip6[0]);
		flow.destination.word[1] = CTX(ctx, local_ip6[1]);
		flow.destination.word[2] = CTX(ctx, local_ip6[2]);
		flow.destination.word[3] = CTX(ctx, local_ip6[3]);
	}
	return flow;
}

static __always_inline int refuse_arrival(const struct weft_flow *flow, __u32 destination_id, __u16 reason)
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
					    const struct weft_address *address, const struct weft_config *settings)
{
	struct weft_verdict_key key = { .destination_id = address->id, .port = flow->destination_port };
	const struct weft_verdict *verdict = bpf_map_lookup_elem(&verdicts, &key);

	int known = 0, open = address->flags & WEFT_ADDRESS_PLAINTEXT_OPEN;

	if (verdict && verdict->generation == settings->generation) {
		known = 1;
		if (verdict->allow)
			open = 1;
	}
	if (open) {
		count(WEFT_COUNT_INBOUND_OPEN);
		return SK_PASS;
	}
	if (known)
		return refuse_arrival(flow, address->id, WEFT_REASON_DENIED);
	return to_plaintext_listener(ctx, flow, address->id);
}

static __always_inline int arrival(struct bpf_sk_lookup *ctx)
{
	const struct weft_config *settings = the_config();
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
	if (!settings)
		return SK_DROP;
	if (ctx->protocol != IPPROTO_TCP)
		return port == settings->dns_port ? SK_DROP : SK_PASS;
	if (port == settings->hbone_port)
		return SK_PASS;
	if (port == settings->outbound_port || port == settings->plaintext_port || port == settings->dns_port)
		return refuse_arrival(&flow, 0, WEFT_REASON_RESERVED_PORT);
	if (bpf_map_lookup_elem(&attested, &flow)) {
		count(WEFT_COUNT_INBOUND_ATTESTED);
		return SK_PASS;
	}
	address = bpf_map_lookup_elem(&addresses, &flow.destination);
	if (!address || !(address->flags & WEFT_ADDRESS_LOCAL))
		return refuse_arrival(&flow, 0, WEFT_REASON_NOT_LOCAL);
	return arrival_in_clear(ctx, &flow, address, settings);
}
