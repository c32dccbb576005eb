/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 * What the kernel's own headers do not offer to eBPF programs, and two tools that clang and the verifier make needful. */
#pragma once
#include <linux/bpf.h>
#include <linux/types.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include "../abi/types.h"

#define AF_INET 2
#define AF_INET6 10
#define IPPROTO_TCP 6
#define IPPROTO_UDP 17
#define IPPROTO_MPTCP 262
#define EADDRINUSE 98
#define ECONNREFUSED 111
#define TCP_ESTABLISHED 1
#define TCP_SYN_SENT 2
#define TCP_FIN_WAIT1 4
#define TCP_FIN_WAIT2 5
#define TCP_CLOSE 7
#define TCP_CLOSE_WAIT 8
#define TCP_LAST_ACK 9
#define TCP_CLOSING 11
#define LOOPBACK_IFINDEX 1

/* What a cgroup socket-address program returns; recvmsg and getpeername may only allow. */
#define SOCK_ADDR_ALLOW 1
#define SOCK_ADDR_REFUSE 0

/* One spelling for copying an address, whatever its two sides are: stack, map value or a field inside one. */
#define COPY_IP(to, from) __builtin_memcpy(&(to), &(from), sizeof(struct weft_ip))

/* Reads a 32-bit context field with its offset as an immediate: left to itself, clang merges the reads of two
 * branches into pointer arithmetic on the context, which the verifier refuses. */
#define CTX(field_of, field) \
	({ \
		__u64 value; \
		asm volatile("%0 = *(u32 *)(%1 + %2)" : "=r"(value) : "r"(field_of), "i"(__builtin_offsetof(__typeof__(*field_of), field))); \
		(__u32) value; \
	})

/* The four words of an IPv6 field of a context. */
#define CTX_IP6(field_of, field) \
	({ \
		struct weft_ip read = {}; \
		read.word[0] = CTX(field_of, field[0]); \
		read.word[1] = CTX(field_of, field[1]); \
		read.word[2] = CTX(field_of, field[2]); \
		read.word[3] = CTX(field_of, field[3]); \
		read; \
	})
