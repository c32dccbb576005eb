import { formatAddress, type IpAddress } from '#model/address/ip.ts';
import type { Cancel } from '#model/effects/clock.ts';
import type { Identity } from '#model/identity/identity.ts';
import { REASON } from '#model/kernel/abi.ts';
import type { EndedFlow, Traffic, TrafficKey } from '#model/kernel/maps.ts';
import type { MeshState } from '#model/mesh/mesh-state.ts';
import type { Workload } from '#model/mesh/workload.ts';
import type { IdTable } from '#model/path/ids.ts';
import { connectionOf, decideL4, policiesFor } from '#model/policy/l4.ts';
import { AGENT } from '#model/settings/agents.ts';
import { NO_PATH, type RecordOrigin, type RecordPath, type RecordSource, recordOf } from '#model/telemetry/access-record.ts';
import { CLOSE_CAUSES, type CloseCause } from '#model/telemetry/close-cause.ts';
import type { Kernel, ReportEffects } from '#node-agent/effects/agent-effects.ts';

/** Who the kernel's numbers stand for. */
export type TrafficView = {
  readonly mesh: MeshState;
  readonly ids: Pick<IdTable, 'nameOf'>;
  /** An enrolment of this node; null: it has ended, or is none. */
  party(id: number): { readonly identity: Identity; readonly record: Workload } | null;
  /** Why the agent closed a connection of the kernel's; null: it did not. */
  closeCause(socketCookie: bigint): CloseCause | null;
};

type Party = { readonly identity: Identity | null; readonly record: Workload | null };

const NOTHING: Traffic = { opened: 0n, closed: 0n, failed: 0n, fromClient: 0n, fromServer: 0n, retransmits: 0n };
/** Where the kernel counts what found no place of its own. */
const NO_PLACE: TrafficKey = { sourceId: 0, destinationId: 0, vip: null, reason: 0, inbound: 0 };
const NOBODY: Party = { identity: null, record: null };
/** TCP states in which a connection ends that nobody aborted. Fixed by the kernel. */
const IN_ORDER: ReadonlySet<number> = new Set([5, 6, 9, 11]);

/**
 * The agent's side of bpf/lib/traffic.h: what the kernel counted of the connections that it carried alone goes into the same
 * series as what the agent carried, and each end that was reported is a line of the access log.
 */
export class KernelTraffic {
  readonly #maps: Pick<Kernel['maps'], 'traffic'>;
  readonly #view: TrafficView;
  readonly #report: ReportEffects;
  /** What of each sum is in the metrics already; a former agent's part was in its own. */
  readonly #counted = new Map<string, Traffic>();
  /** Who has left, until what was counted of them has been read for the last time. */
  readonly #left = new Map<number, Party>();
  readonly #cancel: Cancel;
  #cancelSweep: Cancel = () => {};

  constructor({ maps, adopted }: Pick<Kernel, 'maps' | 'adopted'>, view: TrafficView, report: ReportEffects) {
    this.#maps = maps;
    this.#view = view;
    this.#report = report;
    if (adopted) for (const [key, sums] of maps.traffic.entries()) this.#counted.set(textOf(key), sums);
    if (maps.traffic.get(NO_PLACE) === null) maps.traffic.set(NO_PLACE, NOTHING);
    this.#cancel = report.clock.every(AGENT.trafficPeriodMs, () => this.read());
    report.meters.fetchFirst(async () => this.read());
  }

  /** Adds what the kernel has counted since the last time to the metrics. */
  read(): void {
    for (const [key, sums] of this.#maps.traffic.entries()) {
      const text = textOf(key);
      const before = this.#counted.get(text) ?? NOTHING;
      if (sums.opened === before.opened && sums.closed === before.closed && sums.failed === before.failed) continue;
      this.#counted.set(text, sums);
      this.#count(key, sums, before);
    }
  }

  /** An enrolment ends: its sums are read once more when its last connections have ended, then forgotten; its number never comes again. */
  leave(id: number): void {
    this.#left.set(id, this.#partyOf(id));
    if (this.#left.size === 1) this.#cancelSweep = this.#report.clock.after(AGENT.secondSweepMs, () => this.#forgetLeft());
  }

  /** Touches the kernel no more; what it counted until now has been read. */
  stop(): void {
    this.read();
    this.#cancel();
    this.#cancelSweep();
  }

  /** A connection ended: one line. */
  ended(flow: EndedFlow): void {
    const { source, path } = this.#ends(flow, flow.dialled);
    const { sourcePort, destinationPort, source: client, destination: server } = flow.flow;
    const from = client === null ? null : { ip: client, port: sourcePort };
    const to = server === null ? null : { ip: server, port: destinationPort };
    const reporter = flow.inbound === 1 ? 'destination' : 'source';
    const cause = this.#view.closeCause(flow.socketCookie) ?? (isFailed(flow) ? 'connect-failed' : null);
    const decision = client === null || to === null ? null : this.#allowedBy(source, path, client, to);
    const error = cause === null ? (IN_ORDER.has(flow.state) ? null : 'connection reset') : CLOSE_CAUSES[cause].means;
    const record = recordOf(
      { ...source, end: from },
      { reporter, dialled: flow.dialled === null ? null : formatAddress(flow.dialled, flow.dialledPort) },
      { ...path, end: to },
      {
        ...{ flag: cause === null ? '-' : CLOSE_CAUSES[cause].flag, cause, error, durationMs: flow.durationMs },
        ...{ requestBytes: Number(flow.fromClient), responseBytes: Number(flow.fromServer) },
        ...{ policy: decision?.policy ?? null, rule: decision?.rule ?? null },
        transport: { rttUs: flow.rttUs, retransmits: flow.retransmits },
      },
    );
    this.#report.log.info(record, 'connection complete');
  }

  #forgetLeft(): void {
    this.read();
    const isGone = ({ sourceId, destinationId }: TrafficKey): boolean =>
      this.#left.has(sourceId) || this.#left.has(destinationId);
    for (const [key] of this.#maps.traffic.entries()) {
      if (!isGone(key)) continue;
      const last = this.#maps.traffic.take(key); // it may have risen since
      const text = textOf(key);
      if (last !== null) this.#count(key, last, this.#counted.get(text) ?? NOTHING);
      this.#counted.delete(text);
    }
    this.#left.clear();
  }

  #count(key: TrafficKey, now: Traffic, before: Traffic): void {
    const { peers, meters } = this.#report;
    const { source, path } = this.#ends(key, key.vip);
    const more = (name: keyof Traffic): number => Number(now[name] - before[name]);
    for (const reporter of reportersOf(key)) {
      const origin: RecordOrigin = { reporter, dialled: null };
      const { closed, received, sent } = peers.ended(source, origin, path, '-');
      const [opened, failed] = [more('opened'), more('failed')];
      if (opened > 0) peers.count('istio_tcp_connections_opened_total', source, origin, path, '-').add(opened);
      closed.add(more('closed'));
      received.add(more('fromClient'));
      sent.add(more('fromServer'));
      if (failed === 0) continue;
      peers.count('istio_tcp_connections_failed_total', source, origin, path, 'CONNECT').add(failed);
      meters.counter('weft_refusals_total', { reporter, cause: 'connect-failed' }).add(failed);
    }
    meters.counter('weft_kernel_retransmits_total', {}).add(more('retransmits'));
  }

  /** `vip` null: the endpoint itself was dialled. */
  #ends(
    { sourceId, destinationId, reason, inbound }: Pick<TrafficKey, 'sourceId' | 'destinationId' | 'reason' | 'inbound'>,
    vip: IpAddress | null,
  ): { source: RecordSource; path: RecordPath } {
    const source = sourceId === 0 ? NOBODY : this.#partyOf(sourceId);
    const destination = destinationId === 0 ? NOBODY : this.#partyOf(destinationId);
    const service = vip === null ? null : this.#view.mesh.serviceByVip(vip, source.record?.namespace ?? null);
    // Plain text proves nobody.
    const isProved = inbound === 0 && reason !== REASON.none;
    return {
      source: { end: null, workload: source.record, identity: source.identity },
      path: {
        ...{ ...NO_PATH, service, workload: destination.record, via: pathOf({ reason, inbound, destinationId }) },
        identity: isProved ? destination.identity : null,
      },
    };
  }

  #partyOf(id: number): Party {
    const party = this.#view.party(id) ?? this.#left.get(id);
    return party ?? { identity: null, record: this.#view.mesh.workload(this.#view.ids.nameOf(id) ?? '') };
  }

  /** What the verdict in the kernel was made of; the same pure evaluation gives its name again. */
  #allowedBy(source: RecordSource, { workload, identity }: RecordPath, client: IpAddress, to: { ip: IpAddress; port: number }) {
    if (workload === null || identity === null) return null;
    return decideL4(policiesFor(this.#view.mesh, workload), connectionOf(source.identity, client, to));
  }
}

function isFailed({ state }: EndedFlow): boolean {
  return state === 2; // TCP_SYN_SENT; fixed by the kernel
}

/** Of a connection inside the node nobody else tells the destination's side. A waypoint tells its own. */
function reportersOf({ inbound, reason }: TrafficKey): ('source' | 'destination')[] {
  if (inbound === 1) return ['destination'];
  return reason === REASON.direct ? ['source', 'destination'] : ['source'];
}

/** What the way is called in the log and on the metrics page. */
function pathOf({
  reason,
  inbound,
  destinationId,
}: Pick<TrafficKey, 'reason' | 'inbound' | 'destinationId'>): 'direct' | 'waypoint' | 'passthrough' | 'plain' {
  if (reason === REASON.direct) return 'direct';
  if (reason === REASON.waypoint) return 'waypoint';
  return inbound === 1 || destinationId !== 0 ? 'plain' : 'passthrough';
}

function textOf({ sourceId, destinationId, vip, reason, inbound }: TrafficKey): string {
  return `${sourceId} ${destinationId} ${vip ?? ''} ${reason} ${inbound}`;
}
