import { type Family, familyOf, formatAddress, type IpAddress } from '#model/address/ip.ts';
import { type ClientLocation, type Endpoint, eligibleEndpoints, pickEndpoint } from '#model/balancing/endpoints.ts';
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

/** The one place that says how a connection of an enrolled workload travels. Pure but for the random draw. */
export function decideOutbound(question: OutboundQuestion, view: NodeView): OutboundPath {
  const { dialled, source } = question;
  const service = view.mesh.serviceByVip(dialled.ip, source.namespace);
  if (service !== null) return toService(service, question, view);
  const workload = view.mesh.workloadByIp(dialled.ip);
  if (workload === null) return { kind: 'passthrough', ...dialled };
  if (workload.waypoint !== null && !isMember(workload.waypoint, source, view.mesh)) {
    return toWaypoint(workload.waypoint, dialled, null, source, view);
  }
  return toWorkload(workload, dialled.ip, dialled.port, null, view);
}

function toService(service: Service, question: OutboundQuestion, view: NodeView): OutboundPath {
  const { dialled, source, chosen } = question;
  if (service.waypoint !== null) return toWaypoint(service.waypoint, dialled, service, source, view);
  if (!service.ports.some((port) => port.servicePort === dialled.port)) {
    return { kind: 'refused', cause: 'no-such-port', reason: `service ${service.hostname} has no port ${dialled.port}`, service };
  }
  if (service.loadBalancing?.mode === 'passthrough') return { kind: 'passthrough', ...dialled };
  const endpoints = eligibleEndpoints(view.mesh, service, dialled.port, familyOf(dialled.ip), locationOf(source));
  const drawn = chosen === null ? undefined : endpoints.find(({ ip, port }) => ip === chosen.ip && port === chosen.port);
  const endpoint =
    question.tried === undefined || question.tried.length === 0
      ? (drawn ?? pickEndpoint(endpoints, view.random))
      : followedBy(service, question, question.tried, view);
  if (endpoint === null)
    return {
      kind: 'refused',
      service,
      cause: 'no-backend',
      reason: `no healthy upstream: ${formatAddress(dialled.ip, dialled.port)} (${service.hostname})`,
    };
  return toWorkload(endpoint.workload, endpoint.ip, endpoint.port, service, view);
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
): Endpoint | null {
  const fresh = (family: Family): Endpoint[] =>
    eligibleEndpoints(view.mesh, service, dialled.port, family, locationOf(source)).filter(
      ({ ip, port }) => !tried.some((one) => one.ip === ip && one.port === port),
    );
  const family = familyOf(dialled.ip);
  const others = fresh(family === 4 ? 6 : 4);
  const sibling = others.find(({ workload }) => workload.uid === tried.at(-1)?.uid);
  return sibling ?? pickEndpoint(fresh(family), view.random) ?? pickEndpoint(others, view.random);
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
): OutboundPath {
  const name = address.kind === 'hostname' ? address.hostname : address.address;
  const members = view.mesh.waypointMembers(address).filter((member) => member.healthy);
  const family = familyOf(dialled.ip);
  const routable = members.flatMap((workload) => {
    const ip = workload.addresses.find((one) => familyOf(one) === family) ?? workload.addresses[0];
    return ip === undefined ? [] : [{ workload, ip, port: address.hbonePort, weight: workload.node === source.node ? 2 : 1 }];
  });
  const near = routable.filter(({ weight }) => weight === 2);
  const member = pickEndpoint(near.length > 0 ? near : routable, view.random);
  if (member === null)
    return {
      kind: 'refused',
      cause: 'no-waypoint',
      reason: `unknown waypoint: ${name} is bound but has no ready instance`,
      service,
    };
  return { kind: 'waypoint', workload: member.workload, service, tunnel: tunnelToWaypoint(member, dialled, service) };
}

function isMember(address: GatewayAddress, workload: Workload, mesh: MeshState): boolean {
  return mesh.waypointMembers(address).some((member) => member.uid === workload.uid);
}

/** Where a workload is, for locality preferences. */
export function locationOf(workload: Workload): ClientLocation {
  return { node: workload.node, clusterId: workload.clusterId, network: workload.network, locality: workload.locality };
}
