import type { IpAddress } from '#model/address/ip.ts';
import type { Log } from '#model/effects/log.ts';
import { messageOf } from '#model/error.ts';
import { HOOK, LINK_CAUSES, REASON } from '#model/kernel/abi.ts';
import type { KernelEvent } from '#model/kernel/maps.ts';
import type { MeshState } from '#model/mesh/mesh-state.ts';
import type { IdTable } from '#model/path/ids.ts';
import { connectionOf, decideL4, type L4Decision, policiesFor } from '#model/policy/l4.ts';
import { NO_PATH, REFUSED_OUTCOME, recordOf } from '#model/telemetry/access-record.ts';
import { CLOSE_CAUSES, type CloseCause } from '#model/telemetry/close-cause.ts';
import type { Meters } from '#model/telemetry/meters.ts';
import type { PeerSeries } from '#model/telemetry/peer-series.ts';
import type { WorkloadNamespace } from '#node-agent/effects/agent-effects.ts';

/** What the kernel's reasons are called in logs and metrics; those that are no refusals are not here. */
const CAUSES: ReadonlyMap<number, CloseCause> = new Map([
  [REASON.denied, 'policy'],
  [REASON.noBackend, 'no-backend'],
  [REASON.noSuchPort, 'no-such-port'],
  [REASON.noMemory, 'no-memory'],
  [REASON.reservedPort, 'reserved-port'],
  [REASON.noAgent, 'no-agent'],
  [REASON.notLocal, 'not-local'],
  [REASON.notAttested, 'not-attested'],
  [REASON.share, 'share'],
  [REASON.datagram, 'datagram'],
  [REASON.unknownMesh, 'unknown-mesh'],
  [REASON.notRegistered, 'not-registered'],
  [REASON.linkFrame, 'link-frame'],
  [REASON.linkSource, 'link-source'],
  [REASON.linkNeighbour, 'link-neighbour'],
  [REASON.linkGroup, 'link-group'],
  [REASON.linkClear, 'link-clear'],
]);

/** Why a frame ended on a link, in the order in which each link counts them. */
export const LINK_CAUSE_NAMES: readonly CloseCause[] = LINK_CAUSES.map((reason) => CAUSES.get(reason) ?? 'other');

/** What a reason of the kernel's is called. */
export function causeOf(reason: number): CloseCause {
  return CAUSES.get(reason) ?? 'other';
}

/** On whose side a hook refused: where the connection was opened, or where it arrived. */
export function reporterOf(hook: number): 'source' | 'destination' {
  return hook === HOOK.lookup || hook === HOOK.flow ? 'destination' : 'source';
}

/** What an event is explained by, and where that goes. */
export type EventView = {
  readonly mesh: MeshState;
  readonly ids: IdTable;
  readonly log: Log;
  readonly meters: Meters;
  readonly peers: PeerSeries;
  /** The control plane is being asked whose the address is. */
  readonly isAsked?: boolean;
  readonly names: {
    /** For which name an address was answered to a workload, and by which ports the mesh knows that name; null: for none. */
    nameOf(uid: string, ip: IpAddress): { name: string; ports: ReadonlySet<number> } | null;
  };
};

/** A connection that the kernel refused is told. One that it had to let in without a record is cut, as no later policy could. */
export function takeEvent(
  event: KernelEvent,
  view: EventView & { netnsOf(id: number): Pick<WorkloadNamespace, 'netnsCookie' | 'destroyFlow'> | null },
): void {
  if (event.hook === HOOK.flow) cutForgotten(event, view.netnsOf(event.destinationId), view.log);
  logRefusal(event, view);
}

/**
 * Writes one log line for a connection that the kernel refused, naming the policy and rule that decided. To be called
 * before a change is applied: the event was decided by the policies in force then.
 */
export function logRefusal(event: KernelEvent, { mesh, ids, log, meters, peers, names, isAsked = false }: EventView): void {
  const [source, destination] = [event.sourceId, event.destinationId].map((id) => ids.nameOf(id));
  const cause = causeOf(event.reason);
  const decision = cause === 'policy' ? explain(event, mesh, source ?? null, destination ?? null) : null;
  const means = cause === 'other' ? `reason ${event.reason}` : CLOSE_CAUSES[cause].means;
  const reason = isAsked ? `nothing is known of this address yet: ${ASKED}` : means;
  const dialled = event.destination === null ? null : { ip: event.destination, port: event.destinationPort };
  const named = cause === 'not-registered' && event.destination !== null ? names.nameOf(source ?? '', event.destination) : null;
  const reporter = reporterOf(event.hook);
  const client = mesh.workload(source ?? '');
  const service = event.destination === null ? null : mesh.serviceByVip(event.destination, client?.namespace ?? null);
  const end = event.source === null ? null : { ip: event.source, port: event.sourcePort };
  const opener = { end, workload: client, identity: null };
  const path = { ...NO_PATH, end: dialled, service, workload: mesh.workload(destination ?? '') };
  const { flag } = CLOSE_CAUSES[cause];
  const told = named === null ? reason : `${reason}${sayName(named)}`;
  const { policy = null, rule = null, reason: error = told } = decision ?? {};
  const record = recordOf(opener, { reporter, dialled: null }, path, { ...REFUSED_OUTCOME, flag, cause, error, policy, rule });
  // Of what ends on a link only some is told; all of it is counted there (weft_link_dropped_total).
  if (event.hook !== HOOK.link) meters.counter('weft_refusals_total', { reporter, cause }).add();
  if (isConnection(event.hook, cause))
    peers.count('istio_tcp_connections_failed_total', opener, { reporter, dialled: null }, path, flag).add();
  log.warn(record, event.hook === HOOK.link ? 'a packet of a workload ended on its link' : 'connection refused by the kernel');
}

/** Whoever sends a datagram cannot be held up, as who connects is. */
const ASKED = 'the control plane was asked for it just now, and what comes next goes by its answer';

/** Who reads that an address was refused has asked for a name. */
function sayName({ name, ports }: { name: string; ports: ReadonlySet<number> }): string {
  if (ports.size === 0) return `; it was answered for ${name}`;
  return `; it was answered for ${name}, which the mesh knows by port ${[...ports].join(', ')}`;
}

/** Whether a TCP connection was refused, and not a datagram, a frame or the choice of a port. */
export function isConnection(hook: number, cause: CloseCause): boolean {
  return hook !== HOOK.link && hook !== HOOK.bind && cause !== 'datagram' && cause !== 'unknown-mesh';
}

/** `netns`: of whom it reached, while that is enrolled. */
function cutForgotten(event: KernelEvent, netns: Pick<WorkloadNamespace, 'netnsCookie' | 'destroyFlow'> | null, log: Log): void {
  const { source, destination, sourcePort, destinationPort } = event;
  try {
    netns?.destroyFlow({ netnsCookie: netns.netnsCookie, source, destination, sourcePort, destinationPort }, true);
  } catch (error) {
    log.error({ error: messageOf(error) }, 'a connection that the kernel has no record of cannot be closed');
  }
}

/** The kernel keeps only the outcome; the same pure evaluation gives the name again. */
function explain(
  event: KernelEvent,
  mesh: MeshState,
  sourceUid: string | null,
  destinationUid: string | null,
): L4Decision | null {
  const source = mesh.workload(sourceUid ?? '');
  const destination = mesh.workload(destinationUid ?? '');
  const destinationIp = destination?.addresses[0];
  if (destination === null || destinationIp === undefined) return null;
  const set = policiesFor(mesh, destination);
  const sourceIp: IpAddress | undefined = event.source ?? source?.addresses[0];
  if (sourceIp === undefined) return null;
  // Which port of the workload was meant is not in the event; the first that is denied explains the refusal.
  for (const port of candidatePorts(event, destination.services.values())) {
    const decision = decideL4(set, connectionOf(source, sourceIp, { ip: destinationIp, port }));
    if (!decision.allowed) return decision;
  }
  return null;
}

/** The event has the dialled port; the policy saw the workload's. */
function candidatePorts(
  event: KernelEvent,
  mappings: Iterable<readonly { servicePort: number; targetPort: number }[]>,
): Set<number> {
  const ports = new Set<number>();
  for (const list of mappings)
    for (const { servicePort, targetPort } of list) if (servicePort === event.destinationPort) ports.add(targetPort);
  return ports.add(event.destinationPort);
}
