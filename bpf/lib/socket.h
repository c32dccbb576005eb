/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 * What is kept on a socket itself. It dies with the socket, so a re-used descriptor, tuple or cookie never finds it. */
#pragma once
#include "../abi/flow.h"
#include "base.h"

/* Marks sockets that the agent made inside a workload's namespace; set by file descriptor, so no app can forge it. What a
 * listener of the agent accepts is the agent's, too: the mark is cloned. */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_CLONE);
	__type(key, int);
	__type(value, __u32);
} own_sockets SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct weft_socket);
} sockets SEC(".maps");
