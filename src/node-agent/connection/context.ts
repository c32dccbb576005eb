import type { ByteStream, Dialled } from '#model/effects/byte-stream.ts';
import type { Clock } from '#model/effects/clock.ts';
import type { Cut } from '#model/effects/cut.ts';
import type { Log } from '#model/effects/log.ts';
import type { MeshState } from '#model/mesh/mesh-state.ts';
import type { Workload } from '#model/mesh/workload.ts';
import {
  type Connection,
  decideL4,
  isUndecided,
  type L4Decision,
  type L4DryRun,
  type L4Policies,
  policiesFor,
} from '#model/policy/l4.ts';
import type { RecordOrigin, RecordPath, RecordSource } from '#model/telemetry/access-record.ts';
import { Refusal } from '#model/telemetry/close-cause.ts';
import type { AgentEffects } from '#node-agent/effects/agent-effects.ts';
import type { Enrolled, Enrollment } from '#node-agent/enrollment/enrollment.ts';
import type { LocalRecords } from '#node-agent/enrollment/local-records.ts';
import type { Verdicts } from '#node-agent/kernel/verdicts.ts';
import { relayed } from '#protocol/stream/relay.ts';
import type { ConnectionEnd, ConnectionReport } from './access-log.ts';
import type { CarriedConnections } from './carried-connections.ts';
import type { Places } from './places.ts';

/** What the handlers of connections share. */
export type AgentContext = {
  mesh: MeshState;
  effects: AgentEffects;
  enrollment: Enrollment;
  /** Which records of the mesh are those of this node's enrolments. */
  records: LocalRecords;
  verdicts: Verdicts;
  carried: CarriedConnections;
  places: Places;
  clock: Clock;
  log: Log;
  /** Begins to report one connection. */
  report(origin: RecordOrigin): ConnectionReport;
  /** Tells what policies in dry run would have done to a connection that is carried here. */
  dryRun(decisions: readonly L4DryRun[], source: RecordSource, path: RecordPath): void;
  /** The first answer of `look` that is not null, asked again after each change of the mesh; null after the deadline. */
  known<T>(look: () => T | null): Promise<T | null>;
  /** The enrolment's own record, where the mesh is known and has it: nearly always. Otherwise `synced` and `record` wait for it. */
  ownRecord(enrolled: Enrolled): Workload | null;
  /** Resolves with the enrolment's own record once discovery has sent it; null after the deadline. */
  record(enrolled: Enrolled): Promise<Workload | null>;
  /** Resolves when the mesh is known; rejects never, false after the deadline. */
  synced(): Promise<boolean>;
};

/** False for one that is gone already, or link-local: those are outside the mesh on both ends. */
export function hasEnds({ remote, local }: ByteStream): boolean {
  return remote.port !== 0 && local.port !== 0;
}

/** The stream, if there is one. Throws a Refusal that says why there is none. */
export function openStream(dialled: Dialled): ByteStream {
  switch (dialled.kind) {
    case 'open':
      return dialled.stream;
    case 'refused':
      throw new Refusal('connect-failed', `connect ${dialled.code}`);
    case 'deadline':
      throw new Refusal('connect-failed', 'connect ETIMEDOUT');
    case 'failed':
      throw new Refusal('connect-failed', dialled.error.message);
    default:
      return dialled satisfies never;
  }
}

/**
 * What policies say of a connection to a workload. One that only a policy speaks against that is named and not known is waited
 * for within bounds, by the record as it is then.
 */
export async function decided(context: AgentContext, destination: Workload, connection: Connection): Promise<Decided> {
  const look = (): Decided => {
    const policies = policiesFor(context.mesh, context.mesh.workload(destination.uid) ?? destination);
    return { policies, decision: decideL4(policies, connection) };
  };
  const now = look();
  if (!isUndecided(now.policies, now.decision)) return now;
  const later = await context.known(() => {
    const then = look();
    return isUndecided(then.policies, then.decision) ? null : then;
  });
  return later ?? look();
}

/** A decision, and the policies that it was made by. */
export type Decided = { policies: L4Policies; decision: L4Decision };

/** Relays until both sides are done or `cut` ends them, and tells how it ended. */
export async function carry(client: ByteStream, upstream: ByteStream, cut: Cut): Promise<ConnectionEnd> {
  const { bytesFromA, bytesFromB, error } = await relayed(client, upstream, { cut });
  // A cut shows as an error of the streams; its cause is what is told.
  const why = cut.reason instanceof Refusal ? cut.reason : null;
  return { refusal: why, error: why ?? error, clientBytes: bytesFromA, serverBytes: bytesFromB };
}
