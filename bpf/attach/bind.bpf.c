/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 * cgroup/bind4|6: which ports an app of an enrolled workload may hold. */
#include "../lib/bind.h"

SEC("cgroup/bind4")
int weft_bind4(struct bpf_sock_addr *ctx)
{
	return bind_address(ctx, 0);
}

SEC("cgroup/bind6")
int weft_bind6(struct bpf_sock_addr *ctx)
{
	return bind_address(ctx, 1);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
