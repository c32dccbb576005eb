/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 * Refusal events. A lost event never changes a decision. */
#pragma once
#include "counters.h"

/* A function of its own, so that the BTF describes the event and the enums to user space. */
static __noinline int report(struct weft_event *event, enum weft_hook hook, enum weft_reason reason, enum weft_counter counted)
{
	event->hook = hook;
	event->reason = reason;
	count(counted);
	if (bpf_ringbuf_output(&events, event, sizeof(*event), 0))
		count(WEFT_COUNT_EVENT_LOST);
	return 0;
}
