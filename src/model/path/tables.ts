import { bytesToIp, type Cidr, type Family, familyOf, formatCidr, type IpAddress } from '#model/address/ip.ts';
import { type ClientLocation, type Endpoint, eligibleEndpoints, expandSlots, expandWeights } from '#model/balancing/endpoints.ts';
import { hasConsumerRoute, isRouted, type ServicePlace, type Share, sharesOf } from '#model/balancing/shares.ts';
import type { Slot } from '#model/balancing/slots.ts';
import { ADDRESS_FLAG, SERVICE_FLAG } from '#model/kernel/abi.ts';
import type { MeshState } from '#model/mesh/mesh-state.ts';
import { isWritten } from '#model/mesh/needed-names.ts';
import {
  type CanaryWaypoint,
  type GatewayAddress,
  gatewayName,
  type Service,
  serviceKeyOf,
  type Transport,
} from '#model/mesh/service.ts';
import type { Workload } from '#model/mesh/workload.ts';
import { policiesFor, restrictsPlaintext } from '#model/policy/l4.ts';
import type { IdTable } from './ids.ts';

/** The number of TCP in the IP header; MPTCP is looked up as TCP too. */
const TCP = 6;
const UDP = 17;

/** What the kernel is told; the plain values of the eBPF maps. */
export type AddressEntry = { id: number; flags: number; waypointId: number };
/** One VIP and port with its backend slots, which all addresses of a service share by `id`; port 0 says that the VIP exists. */
export type FrontendEntry = {
  ip: IpAddress;
  port: number;
  /** The transport's number in the IP header. */
  protocol: number;
  id: number;
  waypointId: number;
  flags: number;
  slots: readonly Slot[];
  /** Of a route, in place of slots of its own: one set of slots is drawn, as often as `splits` names it, and then one of these. */
  parts: readonly SlotSet[];
  splits: readonly Split[];
  /** See Service: of what the kernel draws. */
  affinityTimeoutS: number;
};
/** Slots under a number of their own. */
export type SlotSet = { readonly id: number; readonly slots: readonly Slot[] };
/** One draw of a route: a set of slots and how many it has; 0: refused. Of a service with a waypoint: its canary, and its weight. */
export type Split = { readonly setId: number; readonly backendCount: number };
/** What was made for one address of a service in this round, and is the same for its others. */
export class MadeForServices {
  /** By number of a frontend; null: the kernel's slots cannot express them. */
  readonly slots = new Map<number, readonly Slot[] | null>();
  readonly leadsIntoMesh = new Map<Service, boolean>();
}
/** Addresses of a waypoint on this node, one of each family. */
export type WaypointEntry = { ip4: IpAddress | null; ip6: IpAddress | null };

/** What the tables are computed from. */
export type TableView = {
  mesh: MeshState;
  ids: IdTable;
  /** Whether the mesh's record of this name is that of an enrolment of this node. */
  isLocal(uid: string): boolean;
  /**
   * Whose address it is on this node: the number of the enrolment, its record if the mesh has one, and whether plain text passes
   * its policies; null: nobody's.
   */
  enrolledAt(ip: IpAddress): { id: number; record: Workload | null; isInClear: boolean } | null;
  /** The namespace of an enrolment of this node that has this record; null: there is none. */
  enrolledAs(uid: string): { netnsCookie: bigint; record: Workload } | null;
  location: ClientLocation;
  /** Whether the control plane has said who has an address, or that nobody has; absent: the whole mesh is known. */
  isAnswered?(ip: IpAddress): boolean;
  /** The operator lets datagrams go to workloads of other nodes in clear. */
  datagramsClear: boolean;
};

/**
 * The `addresses` entry of an IP; null when no workload owns it. On this node it is the enrolment's, whatever the mesh says
 * of the address: without a record of its own it has no verdicts, so every connection to it waits for one in the agent.
 */
export function addressEntry(ip: IpAddress, view: TableView): AddressEntry | null {
  const enrolled = view.enrolledAt(ip);
  if (enrolled !== null && enrolled.record === null) {
    const flags = ADDRESS_FLAG.local | (enrolled.isInClear ? ADDRESS_FLAG.plaintextOpen : 0);
    return { id: enrolled.id, flags, waypointId: 0 };
  }
  const workload = enrolled?.record ?? view.mesh.workloadByIp(ip);
  if (workload === null) return isOutside(ip, view) ? OUTSIDE : null;
  const open = enrolled !== null && (enrolled.isInClear || !restrictsPlaintext(policiesFor(view.mesh, workload)));
  return {
    id: enrolled?.id ?? view.ids.of('workload', workload.uid),
    flags:
      (enrolled !== null ? ADDRESS_FLAG.local : 0) |
      (workload.tunnelProtocol === 'hbone' || isDoubtful(workload, ip, view) ? ADDRESS_FLAG.hbone : 0) |
      (open ? ADDRESS_FLAG.plaintextOpen : 0),
    waypointId: waypointId(workload.waypoint, view),
  };
}

const OUTSIDE: AddressEntry = { id: 0, flags: ADDRESS_FLAG.outside, waypointId: 0 };

function isOutside(ip: IpAddress, { mesh, isAnswered }: TableView): boolean {
  return isAnswered?.(ip) === true && mesh.servicesByVip(ip).length === 0;
}

/** Until it is known whether it is the address of a workload that takes tunnels, the kernel leaves it to the agent, which asks. */
function isDoubtful(workload: Workload, ip: IpAddress, { isAnswered }: TableView): boolean {
  return isWritten(workload) && isAnswered?.(ip) === false;
}

/**
 * The `services` and `backends` entries of one VIP: port 0 says that the VIP exists at all. What was made for another address of
 * the same service is in `made`, and not made again.
 */
export function frontendsOfVip(vip: IpAddress, view: TableView, made = new MadeForServices()): FrontendEntry[] {
  const all = view.mesh.servicesByVip(vip);
  const service = view.mesh.serviceByVip(vip, null);
  if (all.length === 0) return [];
  const exists = { ip: vip, port: 0, protocol: TCP, id: 0, waypointId: 0, flags: SERVICE_FLAG.agent, ...NO_SLOTS };
  const place = {
    ...exists,
    flags: SERVICE_FLAG.agent | (all.some((one) => leadsIntoMesh(one, view, made)) ? SERVICE_FLAG.mesh : 0),
  };
  if (service === null || all.length > 1) {
    // Which service it is depends on the client's namespace: the agent decides (B40).
    const ports = new Set(all.flatMap((one) => one.ports.map((port) => port.servicePort)));
    const datagrams = new Set(all.flatMap((one) => one.datagramPorts.map((port) => port.servicePort)));
    return [
      place,
      ...[...ports].map((port) => ({ ...exists, port })),
      ...[...datagrams].map((port) => ({ ...exists, port, protocol: UDP })),
    ];
  }
  const placeOf = (transport: Transport, port: number): ServicePlace => ({ service, port, transport });
  const dialled = { ip: vip, family: familyOf(vip) };
  return [
    place,
    ...service.ports.map((port) => frontend(placeOf('tcp', port.servicePort), dialled, view, made)),
    ...service.datagramPorts.map((port) => frontend(placeOf('udp', port.servicePort), dialled, view, made)),
  ];
}

/**
 * The same of a block of addresses that stands for services, under an address that no packet has. Only TCP is known by blocks. Where
 * it depends on the client whose block counts (B41), the agent decides.
 */
export function frontendsOfBlock(block: Cidr, view: TableView, made: MadeForServices): FrontendEntry[] {
  const { own, wider } = view.mesh.servicesOfBlock(block);
  const [service] = own;
  if (service === undefined) return [];
  const ip = placeOfBlock(block, view);
  const all = [...own, ...wider];
  const isClear = own.length === 1 && all.every((one) => one.namespace === service.namespace && !one.namespaceOnly);
  const leads = all.some((one) => leadsIntoMesh(one, view, made)) ? SERVICE_FLAG.mesh : 0;
  const place = { ip, port: 0, protocol: TCP, id: 0, waypointId: 0, ...NO_SLOTS };
  // Every port that is none of its own is looked up here.
  if (!isClear || service.waypoint !== null) return [{ ...place, flags: SERVICE_FLAG.agent | leads }];
  const flags = (service.loadBalancing?.mode === 'passthrough' ? SERVICE_FLAG.passthrough : 0) | leads;
  const dialled = { ip, family: familyOf(block.base) };
  const ports = service.ports.map(({ servicePort }) =>
    frontend({ service, port: servicePort, transport: 'tcp' }, dialled, view, made),
  );
  return [{ ...place, flags }, ...ports];
}

/** Under which address a block has its services: within those that are to be thrown away by whoever gets them (RFC 6666). */
export function placeOfBlock(block: Cidr, { ids }: Pick<TableView, 'ids'>): IpAddress {
  const bytes = Buffer.alloc(16);
  bytes.writeUInt8(1);
  bytes.writeUInt32BE(ids.of('frontend', `block|${formatCidr(block)}`), 12);
  return bytesToIp(bytes);
}

/** Whether what is sent to a service may end at a workload that is only to be reached encrypted. */
function leadsIntoMesh(service: Service, { mesh }: TableView, { leadsIntoMesh }: MadeForServices): boolean {
  const known = leadsIntoMesh.get(service);
  if (known !== undefined) return known;
  const leads = service.waypoint !== null || mesh.endpoints(serviceKeyOf(service)).some((one) => one.tunnelProtocol === 'hbone');
  leadsIntoMesh.set(service, leads);
  return leads;
}

const NO_SLOTS = { slots: [], parts: [], splits: [], affinityTimeoutS: 0 };

/** `dialled`: where the kernel has it, and the family of what is dialled. */
function frontend(
  place: ServicePlace,
  { ip, family }: { ip: IpAddress; family: Family },
  view: TableView,
  made: MadeForServices,
): FrontendEntry {
  const { service, port, transport } = place;
  const protocol = transport === 'tcp' ? TCP : UDP;
  const base = { ip, port, protocol, id: setId(place, family, view), waypointId: 0, flags: 0, ...NO_SLOTS };
  const byAgent = { ...base, flags: SERVICE_FLAG.agent };
  // A waypoint takes no datagrams, and they do not go past it.
  if (service.waypoint !== null)
    return transport === 'udp' ? byAgent : { ...base, ...waypointsFor(service.waypoint, service.canary, view) };
  if (service.loadBalancing?.mode === 'passthrough') return { ...base, flags: SERVICE_FLAG.passthrough };
  if (hasConsumerRoute(place)) return byAgent;
  const shares = sharesOf(view.mesh, place, '');
  if (!isRouted(shares, place)) {
    const slots = slotsOf(place, family, view, made);
    return slots === null ? byAgent : keeping(service, { ...base, slots });
  }
  // Its slots would be under the same number as those of the service itself, to which another route may lead.
  const routeId = view.ids.of('frontend', `${setName(place, family)}|route`);
  const routed = routedSlots(shares, place, family, view, made);
  return routed === null ? byAgent : keeping(service, { ...base, id: routeId, flags: SERVICE_FLAG.split, ...routed });
}

/** The kernel draws only where both are on this node: else the agent would draw again for those that are left to it. */
function waypointsFor(
  waypoint: GatewayAddress,
  canary: CanaryWaypoint | undefined,
  view: TableView,
): Pick<FrontendEntry, 'waypointId'> & Partial<FrontendEntry> {
  const stable = { waypointId: waypointId(waypoint, view) };
  if (canary === undefined || canary.weight === 0) return stable;
  const setId = waypointId(canary.waypoint, view);
  return { ...stable, flags: SERVICE_FLAG.split, splits: [{ setId, backendCount: canary.weight }] };
}

/** Of a service with session affinity clients keep what was drawn for them. */
function keeping({ affinityTimeoutS }: Service, entry: FrontendEntry): FrontendEntry {
  return affinityTimeoutS === 0 ? entry : { ...entry, affinityTimeoutS, flags: entry.flags | SERVICE_FLAG.affinity };
}

function setName({ service, port, transport }: ServicePlace, family: Family): string {
  return `${serviceKeyOf(service)}|${family}|${port}${transport === 'udp' ? '|udp' : ''}`;
}

function setId(place: ServicePlace, family: Family, view: TableView): number {
  return view.ids.of('frontend', setName(place, family));
}

/** Null: the kernel's slots cannot express them. */
function slotsOf(place: ServicePlace, family: Family, view: TableView, made: MadeForServices): readonly Slot[] | null {
  const id = setId(place, family, view);
  const known = made.slots.get(id);
  const slots = known === undefined ? expandSlots(reachable(place, family, view)) : known;
  made.slots.set(id, slots);
  return slots;
}

/** For datagrams those that may be sent some, while there are any: nothing carries them to workloads of other nodes. */
function reachable({ service, port, transport }: ServicePlace, family: Family, view: TableView): Endpoint[] {
  const endpoints = eligibleEndpoints(view.mesh, service, port, family, view.location, transport);
  if (transport === 'tcp' || view.datagramsClear) return endpoints;
  const near = endpoints.filter(({ workload }) => workload.tunnelProtocol !== 'hbone' || view.isLocal(workload.uid));
  return near.length > 0 ? near : endpoints;
}

/** The sets that a route draws from; null: what it leads to cannot be drawn by the kernel. */
function routedSlots(
  shares: readonly Share[],
  { transport }: ServicePlace,
  family: Family,
  view: TableView,
  made: MadeForServices,
): Pick<FrontendEntry, 'parts' | 'splits'> | null {
  const parts: (SlotSet & { weight: number })[] = [];
  for (const { service, port, weight } of shares) {
    if (service !== null && service.waypoint !== null) return null;
    const place = service === null ? null : { service, port, transport };
    const slots = place === null ? [] : slotsOf(place, family, view, made);
    if (slots === null) return null;
    parts.push({ id: place === null ? 0 : setId(place, family, view), slots, weight });
  }
  const splits = expandWeights(parts, ({ id, slots }): Split => ({ setId: id, backendCount: slots.length }));
  return splits === null ? null : { parts: parts.filter(({ id }) => id !== 0), splits };
}

/** Id of a waypoint for the kernel; 0: none. */
export function waypointId(address: GatewayAddress | null, view: Pick<TableView, 'ids'>): number {
  if (address === null) return 0;
  return view.ids.of('waypoint', gatewayName(address));
}

/** Waypoints with an instance on this node, by id: connections go straight to it. */
export function localWaypoints(view: TableView): Map<number, WaypointEntry> {
  const found = new Map<number, WaypointEntry>();
  for (const address of view.mesh.boundWaypoints()) {
    const member = view.mesh.waypointMembers(address).find((one) => one.healthy && one.nativeTunnel && view.isLocal(one.uid));
    if (member !== undefined) found.set(waypointId(address, view), addressesByFamily(member));
  }
  return found;
}

/** The first address of each family; null where there is none. */
export function addressesByFamily(workload: Pick<Workload, 'addresses'>): WaypointEntry {
  return {
    ip4: workload.addresses.find((ip) => familyOf(ip) === 4) ?? null,
    ip6: workload.addresses.find((ip) => familyOf(ip) === 6) ?? null,
  };
}
