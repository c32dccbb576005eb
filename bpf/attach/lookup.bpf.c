/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 * sk_lookup, attached to each enrolled network namespace: sees every SYN for it. */
#include "../lib/arrival.h"

SEC("sk_lookup")
int weft_arrival(struct bpf_sk_lookup *ctx)
{
	return arrival(ctx);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
