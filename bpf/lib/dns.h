/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 * Which traffic is DNS: by its port, as a resolver sends it, whatever server is asked. The agent answers all of it from
 * inside the workload, so that names of the mesh are known to apps that bring their own list of nameservers. */
#pragma once
#include "base.h"

#define DNS_PORT 53

/* Protocol numbers as the hooks give them; DNS over TLS and HTTPS have other ports and are ordinary connections. */
static __always_inline int is_dns(__u16 port, __u32 protocol)
{
	return port == DNS_PORT && (protocol == IPPROTO_UDP || protocol == IPPROTO_TCP);
}
