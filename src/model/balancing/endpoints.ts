import { type Family, familyOf, type IpAddress } from '#model/address/ip.ts';
import type { Random } from '#model/effects/clock.ts';
import type { MeshState } from '#model/mesh/mesh-state.ts';
import { type Scope, type Service, serviceKeyOf, type Transport } from '#model/mesh/service.ts';
import type { Workload } from '#model/mesh/workload.ts';
import { AGENT } from '#model/settings/agents.ts';
import type { Slot } from './slots.ts';

/** One place a connection to a service may go. */
export type Endpoint = { workload: Workload; ip: IpAddress; port: number; weight: number };

/** Where the client is, for locality preferences. */
export type ClientLocation = {
  node: string;
  clusterId: string;
  network: string;
  locality: { region: string; zone: string; subzone: string };
};

/**
 * Endpoints a client may use for a service port and family, best locality rank only.
 * Unhealthy ones only where the service allows them (B38); capacity is the weight, 0 means none (B37).
 * `subset`: uids of the workloads that are meant; null: all.
 */
export function eligibleEndpoints(
  mesh: MeshState,
  service: Service,
  servicePort: number,
  family: Family,
  client: ClientLocation,
  transport: Transport = 'tcp',
  subset: ReadonlySet<string> | null = null,
): Endpoint[] {
  return preferredEndpoints(usableEndpoints(mesh, service, servicePort, family, transport, subset), service, client);
}

/** The same of whatever locality. */
export function usableEndpoints(
  mesh: MeshState,
  service: Service,
  servicePort: number,
  family: Family,
  transport: Transport,
  subset: ReadonlySet<string> | null,
): Endpoint[] {
  const allowUnhealthy = service.loadBalancing?.allowUnhealthy ?? false;
  const found: Endpoint[] = [];
  const portOf = portsOf(service, servicePort, transport);
  for (const workload of mesh.endpoints(serviceKeyOf(service))) {
    if (!workload.healthy && !allowUnhealthy) continue;
    if (subset !== null && !subset.has(workload.uid)) continue;
    const port = portOf(workload);
    if (port === null || workload.capacity < 1) continue;
    for (const ip of workload.addresses) {
      if (familyOf(ip) !== family) continue;
      found.push({ workload, ip, port, weight: workload.capacity });
      // The addresses of one machine are ways to it; those that a name stands for are as many machines.
      if (workload.hostname === '') break;
    }
  }
  return found;
}

/** Endpoint map for the service port, else the service's own target port; null: not routable. */
export function targetPort(
  service: Service,
  workload: Workload,
  servicePort: number,
  transport: Transport = 'tcp',
): number | null {
  return portsOf(service, servicePort, transport)(workload);
}

/** The same for many workloads: what is the service's own is looked up once. */
function portsOf(service: Service, servicePort: number, transport: Transport): (workload: Workload) => number | null {
  if (transport === 'udp') {
    // Mappings of workloads are those of TCP where both have the number.
    const datagrams = service.datagramPorts.find((port) => port.servicePort === servicePort);
    if (datagrams === undefined || datagrams.targetPort !== 0) return () => datagrams?.targetPort ?? null;
  }
  const key = serviceKeyOf(service);
  const isMeant = (mapping: { servicePort: number }) => mapping.servicePort === servicePort;
  const declared = service.ports.find(isMeant)?.targetPort ?? 0;
  return (workload) => workload.services.get(key)?.find(isMeant)?.targetPort || declared || null;
}

/** Those of the best locality rank, where the service prefers any. */
export function preferredEndpoints(endpoints: Endpoint[], service: Service, client: ClientLocation): Endpoint[] {
  const balancing = service.loadBalancing;
  if (balancing === null || (balancing.mode !== 'strict' && balancing.mode !== 'failover')) return endpoints;
  const ranked = endpoints.map((endpoint) => ({
    endpoint,
    rank: localityRank(balancing.routingPreference, endpoint.workload, client),
  }));
  const best =
    balancing.mode === 'strict' ? fullRank(balancing.routingPreference) : Math.max(0, ...ranked.map(({ rank }) => rank));
  return ranked.filter(({ rank }) => rank === best).map(({ endpoint }) => endpoint); // B36
}

/**
 * Number of leading scopes that match. NETWORK in first place is a strong preference, not a barrier (B36): a local-network
 * endpoint outranks every remote one, and the remaining scopes are compared among each.
 */
export function localityRank(preference: readonly Scope[], workload: Workload, client: ClientLocation): number {
  const networkFirst = preference[0] === 'network';
  const rest = networkFirst ? preference.slice(1) : preference;
  const mismatch = rest.findIndex((scope) => !scopeMatches(scope, workload, client));
  const matched = mismatch < 0 ? rest.length : mismatch;
  return networkFirst && workload.network === client.network ? matched + preference.length : matched;
}

function fullRank(preference: readonly Scope[]): number {
  return preference[0] === 'network' ? 2 * preference.length - 1 : preference.length;
}

function scopeMatches(scope: Scope, workload: Workload, client: ClientLocation): boolean {
  return placeIn(scope, workload) === placeIn(scope, client);
}

/** Where somebody is, at one level. */
export function placeIn(scope: Scope, { locality, node, clusterId, network }: ClientLocation): string {
  switch (scope) {
    case 'region':
      return locality.region;
    case 'zone':
      return locality.zone;
    case 'subzone':
      return locality.subzone;
    case 'node':
      return node;
    case 'cluster':
      return clusterId;
    case 'network':
      return network;
  }
}

/** Weighted random choice; null when there is nothing to choose from. */
export function pickWeighted<Choice extends { readonly weight: number }>(
  endpoints: readonly Choice[],
  random: Random,
): Choice | null {
  const total = endpoints.reduce((sum, { weight }) => sum + weight, 0);
  let draw = random() * total;
  for (const endpoint of endpoints) {
    draw -= endpoint.weight;
    if (draw < 0) return endpoint;
  }
  return endpoints.at(-1) ?? null;
}

/**
 * Slots for the kernel: each endpoint as often as its weight (divided by their common divisor).
 * Null when that needs more than AGENT.slotsMax slots: the agent then chooses (E31: never truncated).
 */
export function expandSlots(endpoints: readonly Endpoint[]): Slot[] | null {
  return expandWeights(endpoints, ({ ip, port }) => ({ ip, port }));
}

/** One value for each choice, as often as its weight, divided by what all weights have in common; null: more than AGENT.slotsMax. */
export function expandWeights<Choice extends { readonly weight: number }, Value>(
  choices: readonly Choice[],
  toValue: (choice: Choice) => Value,
): Value[] | null {
  const divisor = choices.reduce((sofar, { weight }) => greatestCommonDivisor(sofar, weight), 0);
  const total = choices.reduce((sum, { weight }) => sum + weight / divisor, 0);
  if (total > AGENT.slotsMax) return null;
  const values: Value[] = [];
  for (const choice of choices) {
    const value = toValue(choice);
    for (let left = choice.weight / divisor; left > 0; left--) values.push(value);
  }
  return values;
}

function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b);
}
