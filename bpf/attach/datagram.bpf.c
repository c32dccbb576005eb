/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 * cgroup/sendmsg4|6 and recvmsg4|6: where a datagram of an unconnected UDP socket goes, and where its answer seems to come from. */
#include "../lib/datagram.h"

SEC("cgroup/sendmsg4")
int weft_send4(struct bpf_sock_addr *ctx)
{
	return send_datagram(ctx, 0);
}

SEC("cgroup/sendmsg6")
int weft_send6(struct bpf_sock_addr *ctx)
{
	return send_datagram(ctx, 1);
}

SEC("cgroup/recvmsg4")
int weft_receive4(struct bpf_sock_addr *ctx)
{
	return receive_datagram(ctx, 0);
}

SEC("cgroup/recvmsg6")
int weft_receive6(struct bpf_sock_addr *ctx)
{
	return receive_datagram(ctx, 1);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
