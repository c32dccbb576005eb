import type { MeshReader } from '#control-plane/index/derivation.ts';
import { tableOf } from '#control-plane/index/table.ts';
import { DESTINATION_RULES, subsetLabels, subsetNames } from '#control-plane/mesh/destination-rules.ts';
import { HOST_TABLES, type NamedHost, namedHost } from '#control-plane/mesh/named-hosts.ts';
import { pickOf, type SubsetPick } from '#control-plane/mesh/subsets.ts';
import type { Problem } from '#control-plane/resources/finding.ts';
import { didYouMean } from '#control-plane/resources/nearest-name.ts';
import type { VirtualDestination, VirtualServiceResource } from './resource.ts';

/** As they were read; found by those that they delegate to. */
export const VIRTUAL_SERVICES = tableOf<VirtualServiceResource>()('virtual-services', {
  by: { delegate: ({ http }) => [...new Set(http.flatMap(({ delegate }) => delegate?.key ?? []))] },
});

/** Tables that destinations and delegates are looked up in. */
export const COMPILE_TABLES = [...HOST_TABLES, DESTINATION_RULES, VIRTUAL_SERVICES] as const;

/** The mesh as they are compiled in it. */
export type CompileMesh = MeshReader<(typeof COMPILE_TABLES)[number]>;

/** Where destinations are looked up from, and what is found on the way. */
export type Context = {
  own: string;
  waypointNamespace: string;
  mesh: CompileMesh;
  picks: Map<string, SubsetPick>;
  problems: Problem[];
};

/** Where a destination leads. */
export type Resolved = { service: string; port: number; subset?: string };
/** Why it leads nowhere. */
export type Unresolved = { why: string; remedy: string };

/** A host is looked up from the namespace of the VirtualService, as Istio does, not from that of its client. */
export function resolve({ host, subset, port }: VirtualDestination, context: Context): Resolved | Unresolved {
  const { own, mesh } = context;
  const found = namedHost(host, own, mesh);
  if (found === null) {
    return { why: `host ${host} is no service of the mesh`, remedy: 'write the name of a Service, or create a ServiceEntry' };
  }
  const chosen = portOf(found, port);
  if (typeof chosen !== 'number') return chosen;
  if (subset === null) return { service: found.key, port: chosen };
  const missing = noteSubset(found, subset, context);
  return missing ?? { service: found.key, port: chosen, subset };
}

/** The only port, or the one that is written. */
function portOf({ hostname, ports }: NamedHost, wanted: number | null): number | Unresolved {
  const [only] = ports;
  if (wanted === null && only !== undefined && ports.length === 1) return only;
  if (wanted !== null && ports.includes(wanted)) return wanted;
  const list = ports.join(', ') || 'none';
  if (wanted === null) return { why: `${hostname} has not one port (ports: ${list})`, remedy: 'write destination.port.number' };
  return { why: `${hostname} has no port ${wanted} (ports: ${list})`, remedy: 'use a port of the service, not of the container' };
}

/** Null when the subset is known; its endpoints are looked for elsewhere. */
function noteSubset(host: NamedHost, name: string, { waypointNamespace, mesh, picks }: Context): Unresolved | null {
  const labels = subsetLabels(host, name, waypointNamespace, mesh);
  if (labels !== null) {
    picks.set(`${host.key} ${name}`, pickOf(host, name, labels));
    return null;
  }
  const near = didYouMean(name, subsetNames(host, waypointNamespace, mesh));
  const why = `no DestinationRule that holds at the waypoint has a subset ${name} of ${host.hostname}${near}`;
  return { why, remedy: `add the subset to a DestinationRule in namespace ${host.namespace}` };
}
