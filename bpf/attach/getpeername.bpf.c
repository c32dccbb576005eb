/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 * cgroup/getpeername4|6: original addresses for both ends. */
#include "../lib/peer.h"

SEC("cgroup/getpeername4")
int weft_peer4(struct bpf_sock_addr *ctx)
{
	return present_peer(ctx, 0);
}

SEC("cgroup/getpeername6")
int weft_peer6(struct bpf_sock_addr *ctx)
{
	return present_peer(ctx, 1);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
