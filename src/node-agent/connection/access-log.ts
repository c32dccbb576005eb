import { formatAddress } from '#model/address/ip.ts';
import type { L4DryRun } from '#model/policy/l4.ts';
import {
  REFUSED_OUTCOME,
  type RecordOrigin,
  type RecordOutcome,
  type RecordPath,
  type RecordSource,
  recordOf,
} from '#model/telemetry/access-record.ts';
import type { Refusal } from '#model/telemetry/close-cause.ts';
import type { ReportEffects } from '#node-agent/effects/agent-effects.ts';
import type { OpenCall } from '#node-agent/seam/messages.ts';

/** What the handlers of one connection tell about it: that it is carried, then how it ended. */
export type ConnectionReport = {
  /** Bytes are about to pass. */
  opened(source: RecordSource, path: RecordPath): void;
  /** Its end: one log line, and what it adds to the metrics. */
  ended(source: RecordSource, path: RecordPath, end: ConnectionEnd): void;
};

/** How a connection ended: refused, or carried until one side was done or it was cut. */
export type ConnectionEnd = {
  readonly refusal: Refusal | null;
  /** Why a carried connection broke; null when both sides ended in order. */
  readonly error: Error | null;
  /** By who sent them. */
  readonly clientBytes: number;
  readonly serverBytes: number;
};

/** A connection that is carried now. */
export type OpenConnection = { readonly origin: RecordOrigin; readonly source: RecordSource; readonly path: RecordPath };

/** The first of them, as they are listed. */
export function listed(open: Iterable<OpenConnection>, most: number): OpenCall[] {
  const calls: OpenCall[] = [];
  for (const { origin, source, path } of open) {
    const isOutbound = origin.reporter === 'source';
    const uid = isOutbound ? source.workload?.uid : path.workload?.uid;
    if (uid === undefined || source.end === null || path.end === null) continue;
    if (calls.length === most) break;
    calls.push({
      uid,
      direction: isOutbound ? 'outbound' : 'inbound',
      src: formatAddress(source.end.ip, source.end.port),
      dialled: origin.dialled,
      dst: formatAddress(path.end.ip, path.end.port),
      via: path.via ?? null,
    });
  }
  return calls;
}

/** Policies are evaluated for the destination, whose agent tells what they would have done. */
const DESTINATION: RecordOrigin = { reporter: 'destination', dialled: null };

/** A connection that never was carried. */
export function refusedEnd(refusal: Refusal): ConnectionEnd {
  return { refusal, error: refusal, clientBytes: 0, serverBytes: 0 };
}

/** Begins the report of one connection; its duration counts from here. */
export function reportOf(
  origin: RecordOrigin,
  { clock, log, meters, peers }: ReportEffects,
  open: Set<OpenConnection>,
): ConnectionReport {
  const startedMs = clock.monotonicMs();
  let isOpen: OpenConnection | null = null;
  return {
    opened(source, path) {
      isOpen = { origin, source, path };
      open.add(isOpen);
      peers.count('istio_tcp_connections_opened_total', source, origin, path, '-').add();
    },
    ended(source, path, end) {
      const outcome = outcomeOf(end, clock.monotonicMs() - startedMs);
      if (outcome.cause !== null)
        meters.counter('weft_refusals_total', { reporter: origin.reporter, cause: outcome.cause }).add();
      if (isOpen !== null) {
        open.delete(isOpen);
        const { closed, received, sent } = peers.ended(source, origin, path, outcome.flag);
        closed.add();
        received.add(end.clientBytes);
        sent.add(end.serverBytes);
      } else peers.count('istio_tcp_connections_failed_total', source, origin, path, outcome.flag).add();
      const record = recordOf(source, origin, path, outcome);
      if (end.error === null) log.info(record, 'connection complete');
      else log.error(record, 'connection complete');
    },
  };
}

function outcomeOf({ refusal, error, clientBytes, serverBytes }: ConnectionEnd, durationMs: number): RecordOutcome {
  return {
    flag: refusal?.flag ?? '-',
    cause: refusal?.why ?? null,
    error: error?.message ?? null,
    requestBytes: clientBytes,
    responseBytes: serverBytes,
    durationMs,
    policy: refusal?.policy ?? null,
    rule: refusal?.rule ?? null,
  };
}

/** One line and one count for each policy in dry run that would have decided a connection that the agent carries. */
export function reportDryRun(
  { log, meters }: Pick<ReportEffects, 'log' | 'meters'>,
  decisions: readonly L4DryRun[],
  source: RecordSource,
  path: RecordPath,
): void {
  for (const { policy, rule, decision } of decisions) {
    meters.counter('weft_dry_run_decisions_total', { policy, decision, layer: 'connection' }).add();
    const outcome = { ...REFUSED_OUTCOME, flag: '-', cause: null, policy, rule } as const;
    // It has not ended, so what the line of an end tells does not belong here.
    const { bytes_sent, bytes_recv, response_flags, ...ends } = recordOf(source, DESTINATION, path, outcome);
    log.info({ ...ends, decision }, 'a policy in dry run would have decided');
  }
}
