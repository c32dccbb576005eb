/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 * For tests only: the kernel cannot run a connect hook on its own, so these programs of a type that it can run call the
 * production headers. The context is what a test asks and where it finds the answer; decisions.test.ts has its twins. */
/* Sleepable programs have no tries: here a block is one address, and what becomes of longer ones is tested in whole kernels. */
#define WEFT_BLOCKS_TYPE BPF_MAP_TYPE_HASH
#include "../lib/connect.h"
#include "../lib/attest.h"

#pragma clang diagnostic ignored "-Wunused-function"

/* After the question was copied out of the context: without it clang reads the context again later, through pointer
 * arithmetic that the verifier refuses. */
#define COPIED() asm volatile("" ::: "memory")

struct test_dial {
	__u64 netns_cookie;
	struct weft_ip ip;
	__u16 port;
	__u16 protocol;
	/* the answer */
	__u32 path; /* enum dial_path; 99: the namespace is not enrolled */
	__u16 reason;
	__u16 backend_port;
	struct weft_ip backend;
	__u32 destination_id;
};

SEC("syscall")
int test_path(struct test_dial *test)
{
	struct dial dial = { .port = test->port, .backend_port = test->port, .protocol = test->protocol };

	test->path = 99;
	dial.source = workload_of(test->netns_cookie);
	if (!dial.source)
		return 0;
	dial.config = the_config();
	dial.ip = test->ip;
	dial.backend = test->ip;
	COPIED();
	test->path = path_of(&dial);
	test->reason = dial.reason;
	test->backend = dial.backend;
	test->backend_port = dial.backend_port;
	test->destination_id = dial.destination_id;
	return 0;
}

struct test_verdict {
	__u32 source_id;
	__u32 destination_id;
	__u32 generation;
	__u16 port;
	__u16 pad0;
};

/* Returns enum cached_verdict. */
SEC("syscall")
int test_verdict(struct test_verdict *test)
{
	return cached_verdict(test->source_id, test->destination_id, test->port, test->generation);
}

struct test_flow {
	__u16 destination_port;
	__u16 outbound_port;
	__u16 reason;
	__u16 pad0;
};

/* Returns 1 for a captured flow, 2 for an attested one, 0 for neither. */
SEC("syscall")
int test_record(struct test_flow *test)
{
	if (is_captured(test->destination_port, test->outbound_port))
		return 1;
	return is_attested(test->reason) ? 2 : 0;
}

struct test_ip {
	__be32 v4;
	struct weft_ip ip;
	/* the answer */
	struct weft_ip mapped;
	struct weft_ip loopback;
	struct weft_ip home; /* of a workload that has an IPv4 address only */
	__u8 is_v4;
	__u8 is_zero;
	__u8 stays_home;
	__u8 equals_mapped;
};

SEC("syscall")
int test_ip(struct test_ip *test)
{
	struct weft_ip ip = test->ip;
	struct weft_ip mapped = ip_from_v4(test->v4);
	struct weft_workload workload = { .ip4 = mapped };

	COPIED();
	test->mapped = mapped;
	test->loopback = ip_loopback(&ip);
	test->home = home_address(&workload, &ip);
	test->is_v4 = ip_is_v4(&ip);
	test->is_zero = ip_is_zero(&ip);
	test->stays_home = ip_stays_home(&ip);
	test->equals_mapped = ip_equal(&ip, &mapped);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
