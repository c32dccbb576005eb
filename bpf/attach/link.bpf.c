/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 * tc, on the host's side of each workload's link: sees every frame that leaves the workload. */
#include "../lib/link.h"

SEC("tc")
int weft_link(struct __sk_buff *skb)
{
	return guard(skb);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
