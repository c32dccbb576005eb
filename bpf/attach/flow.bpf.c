/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 * sock_ops: follows each connection of an enrolled workload from before its SYN to its end. */
#include "../lib/flow.h"

SEC("sockops")
int weft_flow(struct bpf_sock_ops *ctx)
{
	__u32 op = ctx->op;
	__u64 netns_cookie;
	struct weft_socket *kept;

	if (op == BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB) {
		netns_cookie = bpf_get_netns_cookie(ctx);
		if (workload_of(netns_cookie))
			flow_arrives(ctx, netns_cookie);
		return 1;
	}
	if (op != BPF_SOCK_OPS_TCP_CONNECT_CB && op != BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB &&
	    !(op == BPF_SOCK_OPS_STATE_CB && ctx->args[1] == TCP_CLOSE))
		return 1;
	if (!ctx->sk)
		return 1;
	kept = bpf_sk_storage_get(&sockets, ctx->sk, 0, 0);
	if (!kept) {
		flow_forgotten(ctx, op);
		return 1;
	}
	if (op == BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB) {
		if (kept->flags & WEFT_SOCKET_ACCOUNTED)
			traffic_opens(kept, 0);
		return 1;
	}
	netns_cookie = bpf_get_netns_cookie(ctx);
	if (op == BPF_SOCK_OPS_TCP_CONNECT_CB)
		flow_opens(ctx, kept, netns_cookie);
	else
		flow_closes(ctx, kept, netns_cookie, ctx->args[0]);
	return 1;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
