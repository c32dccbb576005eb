import type { Clock } from '#model/effects/clock.ts';
import type { Log } from '#model/effects/log.ts';
import {
  type RecordOrigin,
  type RecordOutcome,
  type RecordPath,
  type RecordSource,
  recordOf,
} from '#model/telemetry/access-record.ts';
import type { Refusal } from '#model/telemetry/close-cause.ts';

/** What the handlers of one connection tell about it: that it is carried, then how it ended. */
export type ConnectionReport = {
  /** Bytes are about to pass. */
  opened(source: RecordSource, path: RecordPath): void;
  /** Its end: one log line. `bytes` of each direction, by who sent them. */
  ended(source: RecordSource, path: RecordPath, end: ConnectionEnd): void;
};

/** How a connection ended: refused, or carried until one side was done or it was cut. */
export type ConnectionEnd = {
  readonly refusal: Refusal | null;
  /** Why a carried connection broke; null when both sides ended in order. */
  readonly error: Error | null;
  readonly clientBytes: number;
  readonly serverBytes: number;
};

/** A connection that never was carried. */
export function refusedEnd(refusal: Refusal): ConnectionEnd {
  return { refusal, error: refusal, clientBytes: 0, serverBytes: 0 };
}

/** Begins the report of one connection; its duration counts from here. */
export function reportOf(origin: RecordOrigin, clock: Clock, log: Log): ConnectionReport {
  const startedMs = clock.nowMs();
  return {
    opened() {},
    ended(source, path, end) {
      const record = recordOf(source, origin, path, outcomeOf(end, clock.nowMs() - startedMs));
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
    http: null,
  };
}
