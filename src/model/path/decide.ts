import { type Family, familyOf, formatAddress, type IpAddress } from '#model/address/ip.ts';
import { choiceOfClient } from '#model/balancing/affinity.ts';
import { type ClientLocation, type Endpoint, eligibleEndpoints, pickWeighted } from '#model/balancing/endpoints.ts';
import { type Share, sharesOf } from '#model/balancing/shares.ts';
import type { Random } from '#model/effects/clock.ts';
import type { MeshState } from '#model/mesh/mesh-state.ts';
import { type GatewayAddress, type Service, type ServiceKey, serviceKeyOf } from '#model/mesh/service.ts';
import type { Workload } from '#model/mesh/workload.ts';
import type { CloseCause } from '#model/telemetry/close-cause.ts';
import { reachOf, type Tunnel, tunnelToWaypoint } from './reach.ts';
import { type Bound, hasInstance, instanceShares } from './waypoint-instances.ts';

/** What the agent does with one outbound connection (docs/rules/node-proxy.md). */
export type OutboundPath =
  /** Not in the mesh: plain TCP to where it was going. */
  | { kind: 'passthrough'; ip: IpAddress; port: number }
  /** In the mesh but without a tunnel: plain TCP to the endpoint. */
  | { kind: 'plain'; workload: Workload; ip: IpAddress; port: number; service: Service | null }
  /** Enrolled on this node: evaluated here, then kernel TCP from app to app. */
  | { kind: 'local'; workload: Workload; ip: IpAddress; port: number; service: Service | null }
  | { kind: 'hbone'; workload: Workload; ip: IpAddress; port: number; service: Service | null; tunnel: Tunnel }
  /** `dialled`: what the waypoint is asked for. */
  | { kind: 'waypoint'; waypoint: GatewayAddress; workload: Workload; service: Service | null; dialled: Place; tunnel: Tunnel }
  /** `service`: what was dialled, as far as it is one. */
  | { kind: 'refused'; cause: CloseCause; reason: string; service: Service | null };

type Place = { ip: IpAddress; port: number };

/** Who dials what. */
export type OutboundQuestion = {
  source: Workload;
  dialled: Place;
  /** What the kernel drew from the slots that this model computed; null: choose here. */
  chosen: { ip: IpAddress; port: number } | null;
  /** What could not be reached, the last one last: others are chosen. */
  tried?: readonly Tried[];
};

/** An endpoint, or an instance of a waypoint, that could not be reached. `service`: for which it was chosen; empty: for none. */
export type Tried = { readonly service: ServiceKey; readonly uid: string; readonly ip: IpAddress; readonly port: number };

/** What the decision needs to know besides the mesh. */
export type NodeView = {
  mesh: MeshState;
  /** Whether the mesh's record of this name is that of a workload enrolled on this node. */
  isLocal(uid: string): boolean;
  random: Random;
  /** Whether a workload may reach an address because it was answered it for a name that the mesh knows; absent: nobody may. */
  isNamed?(source: Workload, dialled: Place): boolean;
};

/** One of the ways that connections which ask the same may take, drawn as often as its weight says. */
export type OutboundChoice = { readonly weight: number; readonly path: OutboundPath };

/** As an OutboundChoice, and worked out when it is drawn. */
type Way = { readonly weight: number; path(): OutboundPath };
type Ways = readonly [Way, ...Way[]];

/** The one place that says how a connection of an enrolled workload travels. Pure but for the random draw. */
export function decideOutbound(question: OutboundQuestion, view: NodeView): OutboundPath {
  const ways = outboundWays(question, view);
  return (pickWeighted(ways, view.random) ?? ways[0]).path();
}

/**
 * The ways among which decideOutbound draws, for whoever draws later and for many connections. More than `choicesMax` are not
 * told: then it is as many draws, spread evenly over all.
 */
export function outboundChoices(question: OutboundQuestion, view: NodeView, choicesMax: number): OutboundChoice[] {
  const ways = outboundWays(question, view);
  if (ways.length <= choicesMax) return ways.map((way) => ({ weight: way.weight, path: way.path() }));
  const shift = view.random();
  return Array.from({ length: choicesMax }, (_, at) => {
    const drawn = pickWeighted(ways, () => (at + shift) / choicesMax) ?? ways[0];
    return { weight: 1, path: drawn.path() };
  });
}

function only(path: OutboundPath): Ways {
  return [{ weight: 1, path: () => path }];
}

function outboundWays(question: OutboundQuestion, view: NodeView): Ways {
  const { dialled, source } = question;
  const service = view.mesh.serviceByVip(dialled.ip, source.namespace);
  if (service !== null) return toService(service, question, view);
  const workload = view.mesh.workloadByIp(dialled.ip);
  if (workload === null) return only(toUnknown(question, view));
  if (workload.waypoint !== null && !isMember(workload.waypoint, source, view.mesh)) {
    return toWaypoint({ waypoint: workload.waypoint }, dialled, null, question, view);
  }
  return only(toWorkload(workload, dialled.ip, dialled.port, null, view));
}

/** Of a registry-only namespace nothing goes where the mesh knows nobody, by address or by name. */
function toUnknown({ source, dialled }: OutboundQuestion, view: NodeView): OutboundPath {
  if (!source.registryOnly || view.isNamed?.(source, dialled) === true) return { kind: 'passthrough', ...dialled };
  const reason = `${formatAddress(dialled.ip, dialled.port)} is not known to the mesh, and namespace ${source.namespace} is registry-only`;
  return { kind: 'refused', cause: 'not-registered', reason, service: null };
}

function toService(service: Service, question: OutboundQuestion, view: NodeView): Ways {
  const { dialled, source, tried } = question;
  const bound = boundOf(service);
  if (bound !== null) return toWaypoint(bound, dialled, service, question, view);
  if (!service.ports.some((port) => port.servicePort === dialled.port)) {
    // Of a block it says what goes to some ports of it, and of the others nothing.
    if (isPassingBlock(service, dialled.ip)) return only(toUnknown(question, view));
    const reason = `service ${service.hostname} has no port ${dialled.port}`;
    return only({ kind: 'refused', cause: 'no-such-port', reason, service });
  }
  if (service.loadBalancing?.mode === 'passthrough') return only(passingBy(dialled, service, view));
  const shares = sharesOf(view.mesh, { service, port: dialled.port, transport: 'tcp' }, source.namespace);
  const isFirst = tried === undefined || tried.length === 0;
  const [first, ...others] = isFirst ? firstDialled(service, shares, question, view) : followedBy(shares, question, tried, view);
  if (first !== undefined) return [first, ...others];
  return only(noBackend(service, dialled));
}

/** Whether an address is none of the service's own, and what is sent there goes where it was going. */
function isPassingBlock({ addresses, loadBalancing }: Service, ip: IpAddress): boolean {
  return loadBalancing?.mode === 'passthrough' && !addresses.includes(ip);
}

/** Whatever a service says of its address: a workload of the mesh is reached as one, never in plain text (promise 1). */
function passingBy(dialled: Place, service: Service, view: NodeView): OutboundPath {
  const workload = view.mesh.workloadByIp(dialled.ip);
  if (workload === null) return { kind: 'passthrough', ...dialled };
  return toWorkload(workload, dialled.ip, dialled.port, service, view);
}

function noBackend(service: Service, { ip, port }: OutboundQuestion['dialled']): OutboundPath {
  const reason = `no healthy upstream: ${formatAddress(ip, port)} (${service.hostname})`;
  return { kind: 'refused', service, cause: 'no-backend', reason };
}

/**
 * What the kernel drew while it is an endpoint; else all of them, each share as often as its weight says, with endpoints or not.
 * Of a service with session affinity it is the one of this client.
 */
function firstDialled(dialled: Service, shares: readonly Share[], question: OutboundQuestion, view: NodeView): Way[] {
  const { source, chosen } = question;
  const family = familyOf(question.dialled.ip);
  const endpointsOf = ({ service, port }: Share): Endpoint[] =>
    service === null || service.waypoint ? [] : eligibleEndpoints(view.mesh, service, port, family, locationOf(source));
  const found = shares.map((share) => ({ ...share, endpoints: endpointsOf(share) }));
  for (const { service, endpoints } of found) {
    const drawn = endpoints.find((one) => one.ip === chosen?.ip && one.port === chosen.port);
    if (drawn !== undefined) return waysTo([drawn], service, view);
  }
  const isKept = dialled.affinityTimeoutS > 0;
  return (isKept ? keptOf(found, source, family) : found).flatMap(({ service, port, weight, endpoints }) => {
    const bound = service === null ? null : boundOf(service);
    if (service !== null && bound !== null) {
      const target = placeOf(service, port, family);
      return sharing(weight, toWaypoint(bound, target, service, question, view));
    }
    const ways = endpoints.length > 0 ? waysTo(endpoints, service, view) : only(noBackend(service ?? dialled, question.dialled));
    return sharing(weight, ways);
  });
}

/** One share with at most one endpoint: those of this client, which is told from others by its address. */
function keptOf<Found extends Share & { endpoints: Endpoint[] }>(shares: readonly Found[], source: Workload, family: Family) {
  const client = source.addresses.find((ip) => familyOf(ip) === family) ?? source.uid;
  const share = choiceOfClient(shares, client, ({ service, port }) => `${service === null ? '' : serviceKeyOf(service)} ${port}`);
  if (share === null) return [];
  const endpoint = choiceOfClient(share.endpoints, client, ({ ip, port }) => formatAddress(ip, port));
  return [{ ...share, endpoints: endpoint === null ? [] : [endpoint] }];
}

function waysTo(endpoints: readonly Endpoint[], service: Service | null, view: NodeView): Way[] {
  return endpoints.map(({ workload, ip, port, weight }) => ({
    weight,
    path: () => toWorkload(workload, ip, port, service, view),
  }));
}

/** The ways with their weights in proportion, which come to `weight` together. */
function sharing(weight: number, ways: readonly Way[]): Way[] {
  const total = ways.reduce((sum, way) => sum + way.weight, 0);
  return ways.map((way) => ({ ...way, weight: (weight * way.weight) / total }));
}

/** How a service is dialled, of the family if it has an address of that. */
function placeOf(service: Service, port: number, family: Family): Place | null {
  const ip = service.addresses.find((one) => familyOf(one) === family) ?? service.addresses[0];
  return ip === undefined ? null : { ip, port };
}

/**
 * Who is dialled after one that could not be reached: that workload by its other family, as an app often listens on one of
 * the two; then another workload of the same share.
 */
function followedBy(
  shares: readonly Share[],
  question: OutboundQuestion,
  tried: readonly Tried[],
  view: NodeView,
): readonly Way[] {
  const { source, dialled } = question;
  const last = tried.at(-1);
  const { service, port } = shares.find((one) => one.service !== null && serviceKeyOf(one.service) === last?.service) ?? {};
  if (!service || port === undefined) return [];
  const bound = boundOf(service);
  if (bound !== null) {
    return toWaypoint(bound, placeOf(service, port, familyOf(dialled.ip)), service, question, view);
  }
  const fresh = (family: Family): Endpoint[] =>
    eligibleEndpoints(view.mesh, service, port, family, locationOf(source)).filter(
      (one) => !tried.some(({ ip, port: target }) => one.ip === ip && one.port === target),
    );
  const family = familyOf(dialled.ip);
  const others = fresh(family === 4 ? 6 : 4);
  const sibling = others.find(({ workload }) => workload.uid === last?.uid);
  if (sibling !== undefined) return waysTo([sibling], service, view);
  const sameFamily = fresh(family);
  return waysTo(sameFamily.length > 0 ? sameFamily : others, service, view);
}

/** What is written or resolved as an endpoint may be the address of a workload of the mesh: then it is that. */
function toWorkload(named: Workload, ip: IpAddress, port: number, service: Service | null, view: NodeView): OutboundPath {
  const owner = named.tunnelProtocol === 'hbone' ? null : view.mesh.workloadByIp(ip);
  const workload = owner?.tunnelProtocol === 'hbone' ? owner : named;
  const destination = { workload, ip, port, service };
  // Whatever its record says of tunnels: what arrives at an enrolled workload from this node must be evaluated first.
  if (view.isLocal(workload.uid)) return { kind: 'local', ...destination };
  const reach = reachOf(destination, false);
  switch (reach.kind) {
    case 'plain':
      return { kind: 'plain', ...destination };
    case 'near':
      return { kind: 'local', ...destination };
    case 'tunnel':
      return { kind: 'hbone', ...destination, tunnel: reach.tunnel };
  }
}

/** A waypoint that is bound but cannot be found refuses; it is never skipped (B28, promise 2). */
function toWaypoint(
  bound: Bound,
  dialled: Place | null,
  service: Service | null,
  { source, tried = [] }: OutboundQuestion,
  view: NodeView,
): Ways {
  if (dialled === null) {
    const reason = `service ${service?.hostname} has a waypoint, and no address that this could be asked for`;
    return only({ kind: 'refused', cause: 'no-waypoint', reason, service });
  }
  const shares = instanceShares(bound, { source, family: familyOf(dialled.ip), tried }, view.mesh);
  const [first, ...others] = shares.map(({ weight, instance }) => ({
    weight,
    path: (): OutboundPath => {
      if (instance === null) return noInstance(bound.waypoint, service, view);
      const { workload, waypoint } = instance;
      return { kind: 'waypoint', waypoint, workload, service, dialled, tunnel: tunnelToWaypoint(instance, dialled, service) };
    },
  }));
  return first === undefined ? only(noInstance(bound.waypoint, service, view)) : [first, ...others];
}

function noInstance(waypoint: GatewayAddress, service: Service | null, { mesh }: NodeView): OutboundPath {
  const name = waypoint.kind === 'hostname' ? waypoint.hostname : waypoint.address;
  const isTried = hasInstance(waypoint, mesh);
  const reason = isTried
    ? `no instance of waypoint ${name} can be reached`
    : `unknown waypoint: ${name} is bound but has no ready instance`;
  return { kind: 'refused', cause: isTried ? 'no-backend' : 'no-waypoint', reason, service };
}

/** The waypoints of a service that has any. */
function boundOf({ waypoint, canary }: Service): Bound | null {
  return waypoint === null ? null : { waypoint, ...(canary && { canary }) };
}

function isMember(address: GatewayAddress, workload: Workload, mesh: MeshState): boolean {
  return mesh.waypointMembers(address).some((member) => member.uid === workload.uid);
}

/** Where a workload is, for locality preferences. */
export function locationOf(workload: Workload): ClientLocation {
  return { node: workload.node, clusterId: workload.clusterId, network: workload.network, locality: workload.locality };
}
