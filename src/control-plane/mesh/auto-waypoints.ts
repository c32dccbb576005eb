import { defineDerivation } from '#control-plane/index/derivation.ts';
import type { AutoGateway } from '#control-plane/index/index-delta.ts';
import { OUTPUT } from '#control-plane/index/outputs.ts';
import { type Entry, entry, namespaceOf, type Table, tableOf } from '#control-plane/index/table.ts';
import { NAMESPACES, namespaceAnnotations, namespaceLabels } from '#control-plane/mesh/namespaces.ts';
import { isGenerated, SERVICES } from '#control-plane/mesh/services.ts';
import { type GatewayInfo, WAYPOINTS } from '#control-plane/mesh/waypoints.ts';
import { ANNOTATION, LABEL } from '#control-plane/mesh/well-known.ts';

// Whoever writes a route for a service, or a policy on requests, means that it be run. Where neither the service nor its namespace
// says anything about waypoints, the namespace is given one of its own (docs/rules/kubernetes.md, K129 to K133).

/** Name of the Gateway of that waypoint. */
export const AUTO_GATEWAY = 'weft-auto';

/**
 * What a service needs a waypoint for. `policy`: something that refuses requests, so none is let past it meanwhile; `route`: what
 * is not in force until there is one; `consumer`: a route of another namespace, for which no waypoint is made.
 */
export type NeedKind = 'policy' | 'route' | 'consumer';

/** What one resource asks for one service. */
export type WaypointNeed = { service: string; kind: NeedKind };

/** Needs, whatever is said about waypoints elsewhere. */
export const WAYPOINT_NEEDS = tableOf<WaypointNeed>()('waypoint-needs');

/** Services that are given a waypoint without asking for one, by `<namespace>/<name>`, and for what. */
export const AUTO_SERVICES = tableOf<{ kind: NeedKind }>()('auto-services');

/** Namespaces with such services. */
const NEEDY_NAMESPACES = tableOf<{ namespace: string }>()('needy-namespaces');

/** Of several needs the strictest counts. */
const RANK: Readonly<Record<NeedKind, number>> = { policy: 0, route: 1, consumer: 2 };

/** A service in a need that a resource of `namespace` has. */
export type NeededService = { namespace: string; name: string; kind: 'policy' | 'route' };

/** What resources of a table need waypoints for: `needsOf` says it of one. */
export function waypointNeeds<Resource extends { metadata: { namespace: string } }>(
  each: Table<Resource>,
  needsOf: (resource: Resource) => readonly NeededService[],
) {
  return defineDerivation({
    name: `needs of ${each.name}`,
    each,
    reads: [],
    writes: [WAYPOINT_NEEDS],
    derive({ key, value }, { options }) {
      if (!options.autoWaypoints) return [];
      const services = new Map(needsOf(value).map((one) => [`${one.namespace}/${one.name}`, one]));
      return [...services].map(([service, { namespace, kind }]) => {
        const need: WaypointNeed = { service, kind: namespace === value.metadata.namespace ? kind : 'consumer' };
        return entry(WAYPOINT_NEEDS, `${each.name} ${key} ${service}`, need);
      });
    },
  });
}

/** A need counts where nobody has said anything about the waypoint of the service. */
export const autoServices = defineDerivation({
  name: 'automatic waypoint',
  each: WAYPOINT_NEEDS,
  reads: [SERVICES, NAMESPACES],
  writes: [AUTO_SERVICES, NEEDY_NAMESPACES],
  derive({ value: { service: key, kind } }, mesh) {
    const service = mesh.get(SERVICES, key);
    // What nobody dials by an address of its own cannot be routed.
    if (service === null || service.externalName !== null || service.headless || isGenerated(service)) return [];
    const namespace = namespaceOf(key);
    const { labels, annotations } = service.metadata;
    const all = { ...namespaceLabels(mesh, namespace), ...namespaceAnnotations(mesh, namespace), ...labels, ...annotations };
    if (all[LABEL.useWaypoint] !== undefined || all[ANNOTATION.autoWaypoint] === 'false') return [];
    const said: Entry<typeof AUTO_SERVICES | typeof NEEDY_NAMESPACES>[] = [entry(AUTO_SERVICES, key, { kind }, RANK[kind])];
    return kind === 'consumer' ? said : [...said, entry(NEEDY_NAMESPACES, namespace, { namespace })];
  },
});

/** Namespaces that are to have such a Gateway. */
export const neededGateways = defineDerivation({
  name: 'automatic waypoint that is needed',
  each: NEEDY_NAMESPACES,
  reads: [WAYPOINTS],
  writes: [OUTPUT.autoGateways],
  derive({ key: namespace }, mesh) {
    const info = mesh.get(WAYPOINTS, `${namespace}/${AUTO_GATEWAY}`);
    return [entry(OUTPUT.autoGateways, namespace, autoGatewayOf(namespace, info, true), 0)];
  },
});

/** Those that are there, needed or not. One that somebody has made by that name goes when they say so. */
export const madeGateways = defineDerivation({
  name: 'automatic waypoint that is there',
  each: WAYPOINTS,
  reads: [],
  writes: [OUTPUT.autoGateways],
  derive({ value: info }) {
    if (info.name !== AUTO_GATEWAY || !info.automatic) return [];
    return [entry(OUTPUT.autoGateways, info.namespace, autoGatewayOf(info.namespace, info, false), 1)];
  },
});

/** Whether services are bound to it, ready or not: what somebody made by that name has been asked for. */
export function isInForce({ automatic, activated }: GatewayInfo): boolean {
  return activated || !automatic;
}

function autoGatewayOf(namespace: string, info: GatewayInfo | null, isNeeded: boolean): AutoGateway {
  const isReady = info?.state.kind === 'ready';
  const isActivated = info !== null && isInForce(info);
  return { namespace, name: AUTO_GATEWAY, isNeeded, isThere: info !== null, isReady, isActivated };
}
