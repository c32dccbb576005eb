import { familyOf, type IpAddress } from '#model/address/ip.ts';
import { type ClientLocation, eligibleEndpoints, expandSlots } from '#model/balancing/endpoints.ts';
import type { Slot } from '#model/balancing/slots.ts';
import { ADDRESS_FLAG, SERVICE_FLAG } from '#model/kernel/abi.ts';
import type { MeshState } from '#model/mesh/mesh-state.ts';
import { type GatewayAddress, gatewayName, type Service, serviceKeyOf } from '#model/mesh/service.ts';
import type { Workload } from '#model/mesh/workload.ts';
import { policiesFor, restrictsPlaintext } from '#model/policy/l4.ts';
import type { IdTable } from './ids.ts';

/** The number of TCP in the IP header; MPTCP is looked up as TCP too. */
const TCP = 6;

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
};
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
  /** Whose address it is on this node: the number of the enrolment, and its record if the mesh has one; null: nobody's. */
  enrolledAt(ip: IpAddress): { id: number; record: Workload | null } | null;
  location: ClientLocation;
};

/**
 * The `addresses` entry of an IP; null when no workload owns it. On this node it is the enrolment's, whatever the mesh says
 * of the address: without a record of its own it has no verdicts, so every connection to it waits for one in the agent.
 */
export function addressEntry(ip: IpAddress, view: TableView): AddressEntry | null {
  const enrolled = view.enrolledAt(ip);
  if (enrolled !== null && enrolled.record === null) return { id: enrolled.id, flags: ADDRESS_FLAG.local, waypointId: 0 };
  const workload = enrolled?.record ?? view.mesh.workloadByIp(ip);
  if (workload === null) return null;
  const open = enrolled !== null && !restrictsPlaintext(policiesFor(view.mesh, workload));
  return {
    id: enrolled?.id ?? view.ids.of('workload', workload.uid),
    flags:
      (enrolled !== null ? ADDRESS_FLAG.local : 0) |
      (workload.tunnelProtocol === 'hbone' ? ADDRESS_FLAG.hbone : 0) |
      (open ? ADDRESS_FLAG.plaintextOpen : 0),
    waypointId: waypointId(workload.waypoint, view),
  };
}

/**
 * The `services` and `backends` entries of one VIP: port 0 says that the VIP exists at all. What was made for another address of
 * the same service is in `made`, and not made again.
 */
export function frontendsOfVip(vip: IpAddress, view: TableView, made = new MadeForServices()): FrontendEntry[] {
  const all = view.mesh.servicesByVip(vip);
  const service = view.mesh.serviceByVip(vip, null);
  if (all.length === 0) return [];
  const exists = { ip: vip, port: 0, protocol: TCP, id: 0, waypointId: 0, flags: SERVICE_FLAG.agent, slots: [] };
  const place = {
    ...exists,
    flags: SERVICE_FLAG.agent | (all.some((one) => leadsIntoMesh(one, view, made)) ? SERVICE_FLAG.mesh : 0),
  };
  if (service === null || all.length > 1) {
    // Which service it is depends on the client's namespace: the agent decides (B40).
    const ports = new Set(all.flatMap((one) => one.ports.map((port) => port.servicePort)));
    return [place, ...[...ports].map((port) => ({ ...exists, port }))];
  }
  return [place, ...service.ports.map((port) => frontend(service, vip, port.servicePort, view, made))];
}

/** Whether what is sent to a service may end at a workload that is only to be reached encrypted. */
function leadsIntoMesh(service: Service, { mesh }: TableView, { leadsIntoMesh }: MadeForServices): boolean {
  const known = leadsIntoMesh.get(service);
  if (known !== undefined) return known;
  const leads = service.waypoint !== null || mesh.endpoints(serviceKeyOf(service)).some((one) => one.tunnelProtocol === 'hbone');
  leadsIntoMesh.set(service, leads);
  return leads;
}

function frontend(service: Service, vip: IpAddress, port: number, view: TableView, made: MadeForServices): FrontendEntry {
  const family = familyOf(vip);
  const id = view.ids.of('frontend', `${serviceKeyOf(service)}|${family}|${port}`);
  const base = { ip: vip, port, protocol: TCP, id, waypointId: waypointId(service.waypoint, view), flags: 0, slots: [] };
  if (service.waypoint !== null) return base;
  if (service.loadBalancing?.mode === 'passthrough') return { ...base, flags: SERVICE_FLAG.agent };
  const known = made.slots.get(id);
  const slots = known === undefined ? expandSlots(eligibleEndpoints(view.mesh, service, port, family, view.location)) : known;
  made.slots.set(id, slots);
  return slots === null ? { ...base, flags: SERVICE_FLAG.agent } : { ...base, slots };
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
    const member = view.mesh.waypointMembers(address).find((one) => one.healthy && view.isLocal(one.uid));
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
