/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 * cgroup/connect4|6: where a connection of an enrolled workload goes. */
#include "../lib/connect.h"

SEC("cgroup/connect4")
int weft_connect4(struct bpf_sock_addr *ctx)
{
	return connect_path(ctx, 0);
}

SEC("cgroup/connect6")
int weft_connect6(struct bpf_sock_addr *ctx)
{
	return connect_path(ctx, 1);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
