import { type Family, familyOf, formatAddress, type IpAddress } from '#model/address/ip.ts';
import { type ClientLocation, type Endpoint, eligibleEndpoints, pickWeighted } from '#model/balancing/endpoints.ts';
import type { Random } from '#model/effects/clock.ts';
import type { MeshState } from '#model/mesh/mesh-state.ts';
import type { GatewayAddress, Service } from '#model/mesh/service.ts';
import type { Workload } from '#model/mesh/workload.ts';
import type { CloseCause } from '#model/telemetry/close-cause.ts';
import { reachOf, type Tunnel, tunnelToWaypoint } from './reach.ts';

/** What the agent does with one outbound connection (docs/rules/node-proxy.md). */
export type OutboundPath =
  /** Not in the mesh: plain TCP to where it was going. */
  | { kind: 'passthrough'; ip: IpAddress; port: number }
  /** In the mesh but without a tunnel: plain TCP to the endpoint. */
  | { kind: 'plain'; workload: Workload; ip: IpAddress; port: number; service: Service | null }
  /** Enrolled on this node: evaluated here, then kernel TCP from app to app. */
  | { kind: 'local'; workload: Workload; ip: IpAddress; port: number; service: Service | null }
  | { kind: 'hbone'; workload: Workload; ip: IpAddress; port: number; service: Service | null; tunnel: Tunnel }
  | { kind: 'waypoint'; workload: Workload; service: Service | null; tunnel: Tunnel }
  /** `service`: what was dialled, as far as it is one. */
  | { kind: 'refused'; cause: CloseCause; reason: string; service: Service | null };

/** Who dials what. */
export type OutboundQuestion = {
  source: Workload;
  dialled: { ip: IpAddress; port: number };
  /** What the kernel drew from the slots that this model computed; null: choose here. */
  chosen: { ip: IpAddress; port: number } | null;
  /** Endpoints of the service that could not be reached, the last one last: others are chosen. */
  tried?: readonly Tried[];
};

/** An endpoint that could not be reached. */
export type Tried = { readonly uid: string; readonly ip: IpAddress; readonly port: number };

/** What the decision needs to know besides the mesh. */
export type NodeView = {
  mesh: MeshState;
  /** Whether the mesh's record of this name is that of a workload enrolled on this node. */
  isLocal(uid: string): boolean;
  random: Random;
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
  if (workload === null) return only({ kind: 'passthrough', ...dialled });
  if (workload.waypoint !== null && !isMember(workload.waypoint, source, view.mesh)) {
    return toWaypoint(workload.waypoint, dialled, null, source, view);
  }
  return only(toWorkload(workload, dialled.ip, dialled.port, null, view));
}

function toService(service: Service, question: OutboundQuestion, view: NodeView): Ways {
  const { dialled, source, tried } = question;
  if (service.waypoint !== null) return toWaypoint(service.waypoint, dialled, service, source, view);
  if (!service.ports.some((port) => port.servicePort === dialled.port)) {
    const reason = `service ${service.hostname} has no port ${dialled.port}`;
    return only({ kind: 'refused', cause: 'no-such-port', reason, service });
  }
  if (service.loadBalancing?.mode === 'passthrough') return only({ kind: 'passthrough', ...dialled });
  const isFirst = tried === undefined || tried.length === 0;
  const endpoints = isFirst ? firstDialled(service, question, view) : followedBy(service, question, tried, view);
  const [first, ...others] = endpoints.map(({ workload, ip, port, weight }) => ({
    weight,
    path: () => toWorkload(workload, ip, port, service, view),
  }));
  if (first !== undefined) return [first, ...others];
  const reason = `no healthy upstream: ${formatAddress(dialled.ip, dialled.port)} (${service.hostname})`;
  return only({ kind: 'refused', service, cause: 'no-backend', reason });
}

/** What the kernel drew while it is an endpoint, else all of them. */
function firstDialled(service: Service, { source, dialled, chosen }: OutboundQuestion, view: NodeView): Endpoint[] {
  const endpoints = eligibleEndpoints(view.mesh, service, dialled.port, familyOf(dialled.ip), locationOf(source));
  const drawn = chosen === null ? undefined : endpoints.find(({ ip, port }) => ip === chosen.ip && port === chosen.port);
  return drawn === undefined ? endpoints : [drawn];
}

/**
 * Who is dialled after one that could not be reached: that workload by its other family, as an app often listens on one of
 * the two; then another workload.
 */
function followedBy(
  service: Service,
  { source, dialled }: OutboundQuestion,
  tried: readonly Tried[],
  view: NodeView,
): Endpoint[] {
  const fresh = (family: Family): Endpoint[] =>
    eligibleEndpoints(view.mesh, service, dialled.port, family, locationOf(source)).filter(
      ({ ip, port }) => !tried.some((one) => one.ip === ip && one.port === port),
    );
  const family = familyOf(dialled.ip);
  const others = fresh(family === 4 ? 6 : 4);
  const sibling = others.find(({ workload }) => workload.uid === tried.at(-1)?.uid);
  if (sibling !== undefined) return [sibling];
  const sameFamily = fresh(family);
  return sameFamily.length > 0 ? sameFamily : others;
}

function toWorkload(workload: Workload, ip: IpAddress, port: number, service: Service | null, view: NodeView): OutboundPath {
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
  address: GatewayAddress,
  dialled: { ip: IpAddress; port: number },
  service: Service | null,
  source: Workload,
  view: NodeView,
): Ways {
  const name = address.kind === 'hostname' ? address.hostname : address.address;
  const members = view.mesh.waypointMembers(address).filter((member) => member.healthy);
  const family = familyOf(dialled.ip);
  const routable = members.flatMap((workload) => {
    const ip = workload.addresses.find((one) => familyOf(one) === family) ?? workload.addresses[0];
    return ip === undefined ? [] : [{ workload, ip, port: address.hbonePort, weight: workload.node === source.node ? 2 : 1 }];
  });
  const near = routable.filter(({ weight }) => weight === 2);
  const [first, ...others] = (near.length > 0 ? near : routable).map((member) => ({
    weight: member.weight,
    path: (): OutboundPath => {
      const tunnel = tunnelToWaypoint(member, dialled, service);
      return { kind: 'waypoint', workload: member.workload, service, tunnel };
    },
  }));
  if (first !== undefined) return [first, ...others];
  const reason = `unknown waypoint: ${name} is bound but has no ready instance`;
  return only({ kind: 'refused', cause: 'no-waypoint', reason, service });
}

function isMember(address: GatewayAddress, workload: Workload, mesh: MeshState): boolean {
  return mesh.waypointMembers(address).some((member) => member.uid === workload.uid);
}

/** Where a workload is, for locality preferences. */
export function locationOf(workload: Workload): ClientLocation {
  return { node: workload.node, clusterId: workload.clusterId, network: workload.network, locality: workload.locality };
}
