/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 * What every other file of this folder builds on. The folder is the whole contract between the programs and user
 * space; src/model/kernel mirrors it, and a test compares both sides through the BTF of the compiled objects.
 *
 * Rules for a struct of the contract:
 *  - fixed widths, and every padding byte a named field that is always 0: hash keys are compared byte by byte, so a
 *    stray byte would be another key;
 *  - addresses are 16 bytes in network order, IPv4 as v4-mapped; ports are in host order;
 *  - its size is asserted: a field that moves is noticed here before it is noticed in a running node.
 * Flags and reasons are enums, because BTF carries enums and not macros. A struct that holds flags names their enum as
 * the field's type (4 bytes, as __u32), which puts it into the BTF. */
#pragma once
#include <linux/types.h>

#define WEFT_SIZE(type, bytes) _Static_assert(sizeof(type) == (bytes), #type " has another size than layouts.txt says")

/* Raised when the meaning or layout of a pinned map changes: an agent then starts afresh instead of re-using what a
 * former agent pinned. layouts.txt says what the number stands for. */
enum weft_schema {
	WEFT_SCHEMA = 4,
};

struct weft_ip {
	__be32 word[4];
};
WEFT_SIZE(struct weft_ip, 16);
