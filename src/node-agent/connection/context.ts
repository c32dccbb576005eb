import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { tryParseIp } from '#model/address/ip.ts';
import type { Clock } from '#model/effects/clock.ts';
import type { Log } from '#model/effects/log.ts';
import type { MeshState } from '#model/mesh/mesh-state.ts';
import type { Workload } from '#model/mesh/workload.ts';
import type { L4DryRun } from '#model/policy/l4.ts';
import type { RecordEnd, RecordOrigin, RecordPath, RecordSource } from '#model/telemetry/access-record.ts';
import { Refusal } from '#model/telemetry/close-cause.ts';
import type { AgentEffects } from '#node-agent/effects/agent-effects.ts';
import type { Enrolled, Enrollment } from '#node-agent/enrollment/enrollment.ts';
import type { LocalRecords } from '#node-agent/enrollment/local-records.ts';
import type { Verdicts } from '#node-agent/kernel/verdicts.ts';
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
  /** Resolves with the enrolment's own record once discovery has sent it; null after the deadline. */
  record(enrolled: Enrolled): Promise<Workload | null>;
  /** Resolves when the mesh is known; rejects never, false after the deadline. */
  synced(): Promise<boolean>;
};

/** Addresses of an accepted socket; null when it is already gone, or link-local: those are outside the mesh on both ends. */
export function endsOf(socket: Socket): { remote: RecordEnd; local: RecordEnd } | null {
  const { remoteAddress, remotePort, localAddress, localPort } = socket;
  if (remoteAddress === undefined || remotePort === undefined || localAddress === undefined || localPort === undefined)
    return null;
  const [remote, local] = [tryParseIp(remoteAddress), tryParseIp(localAddress)]; // null with a zone, as in fe80::1%eth0
  if (remote === null || local === null) return null;
  return { remote: { ip: remote, port: remotePort }, local: { ip: local, port: localPort } };
}

/** Relays until both sides are done or `signal` cuts them, and tells how it ended. */
export async function carry(
  context: AgentContext,
  client: Duplex,
  upstream: Duplex,
  signal: AbortSignal,
): Promise<ConnectionEnd> {
  const { bytesFromA, bytesFromB, error } = await context.effects.relay(client, upstream, {
    signal,
    onMistake: (mistake) => context.effects.mishaps.report('relay', mistake),
  });
  // A cut shows as an error of the streams; its cause is what is told.
  const cut = signal.aborted && signal.reason instanceof Refusal ? signal.reason : null;
  return { refusal: cut, error: cut ?? error, clientBytes: bytesFromA, serverBytes: bytesFromB };
}
