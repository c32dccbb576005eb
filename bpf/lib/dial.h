/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 * What is dialled and where that may go, with the decisions for everything that is no stream. */
#pragma once
#include "config.h"
#include "permit.h"
#include "service.h"
#include "workload.h"

struct dial {
	const struct weft_config *config;
	const struct weft_workload *source;
	struct weft_ip ip; /* as dialled */
	__u16 port;
	struct weft_ip backend; /* as chosen; starts equal to ip:port */
	__u16 backend_port;
	__u16 reason; /* enum weft_reason, of the path decided */
	__u32 destination_id; /* 0 until the backend is known as a workload of the mesh */
	struct weft_backend_key slot; /* that was drawn, of a service */
	__u32 protocol;
};

enum dial_path {
	PATH_LEAVE,   /* none of the mesh's business: nothing is rewritten, nothing remembered */
	PATH_BACKEND, /* to dial->backend: an app of this node, a waypoint of this node, or outside */
	PATH_AGENT,   /* to a listener of the agent inside the workload's own namespace */
	PATH_REFUSE,
};

static __always_inline enum dial_path path_for(struct dial *dial, enum dial_path path, enum weft_reason reason)
{
	dial->reason = reason;
	return path;
}

/* By which address the workload is a client of what it dials. */
static __always_inline const struct weft_ip *client_address(const struct dial *dial)
{
	return ip_is_v4(&dial->ip) ? &dial->source->ip4 : &dial->source->ip6;
}

/* Nothing carries datagrams to other nodes, so what would go there in clear is refused: to a workload, to a VIP that may
 * stand for one, and to anybody while the maps do not hold the whole mesh. Unless the operator lets them go so. `path`: what
 * becomes of those that may go. */
static __always_inline enum dial_path path_of_datagram_to(struct dial *dial, const struct weft_ip *ip, const enum dial_path path)
{
	const struct weft_address *address = address_of(ip);

	if (!is_nobodys(address)) {
		if ((address->flags & WEFT_ADDRESS_LOCAL) || !(address->flags & WEFT_ADDRESS_HBONE) ||
		    (dial->config->flags & WEFT_CONFIG_DATAGRAMS_CLEAR))
			return path_for(dial, path, WEFT_REASON_NONE);
		dial->destination_id = address->id;
		return path_for(dial, PATH_REFUSE, WEFT_REASON_DATAGRAM);
	}
	if (path == PATH_LEAVE && is_mesh_vip(ip))
		return path_for(dial, PATH_REFUSE, WEFT_REASON_DATAGRAM);
	if (!address && (dial->config->flags & WEFT_CONFIG_INCOMPLETE))
		return path_for(dial, PATH_REFUSE, WEFT_REASON_UNKNOWN_MESH);
	if (path == PATH_LEAVE && !may_reach_unknown(dial->source))
		return path_for(dial, PATH_REFUSE, WEFT_REASON_NOT_REGISTERED);
	return path_for(dial, path, WEFT_REASON_NONE);
}

/* A service with a port for datagrams is one of its slots; who would have to choose otherwise carries none. */
static __always_inline enum dial_path path_of_datagram(struct dial *dial)
{
	__u32 waypoint_id = 0;

	switch (choose_backend(&dial->ip, dial->port, IPPROTO_UDP, client_address(dial), &dial->backend, &dial->backend_port,
			       &waypoint_id, &dial->slot)) {
	case CHOICE_BACKEND:
		return path_of_datagram_to(dial, &dial->backend, PATH_BACKEND);
	case CHOICE_NO_BACKEND:
		return path_for(dial, PATH_REFUSE, WEFT_REASON_NO_BACKEND);
	case CHOICE_WAYPOINT:
	case CHOICE_AGENT:
		return path_for(dial, PATH_REFUSE, WEFT_REASON_DATAGRAM);
	case CHOICE_NO_SERVICE:
	case CHOICE_PASSTHROUGH:
	case CHOICE_NO_SUCH_PORT:
		break;
	}
	return path_of_datagram_to(dial, &dial->ip, PATH_LEAVE);
}

/* Resolvers find out which source address a destination would get by connecting a datagram socket to it and sending nothing
 * (RFC 6724, section 6): to the port the app will dial with TCP, or to one that says so (Go 9, musl 65535). */
static __always_inline int is_address_probe(const struct dial *dial)
{
	struct weft_service_key key = { .port = dial->port, .protocol = IPPROTO_TCP };

	if (dial->protocol != IPPROTO_UDP)
		return 0;
	if (dial->port == 0 || dial->port == 9 || dial->port == 65535)
		return 1;
	COPY_IP(key.ip, dial->ip);
	return bpf_map_lookup_elem(&services, &key) != 0 || is_permitted(dial->source->id, &dial->ip, dial->port);
}

/* A probe that is refused would make the resolver sort the address behind all others. So it gets what it asks for, the
 * workload's own address: its socket is connected to a port of the workload itself that only the agent may hold, and a
 * datagram that is sent all the same goes nowhere and is answered ECONNREFUSED. */
static __always_inline enum dial_path path_of_probe(struct dial *dial)
{
	const struct weft_ip *home = ip_is_v4(&dial->ip) ? &dial->source->ip4 : &dial->source->ip6;

	if (ip_is_zero(home))
		return PATH_REFUSE;
	COPY_IP(dial->backend, *home);
	dial->backend_port = dial->config->outbound_port;
	return PATH_BACKEND;
}
