import type { ByteStream, Dialled } from '#model/effects/byte-stream.ts';
import type { Cut } from '#model/effects/cut.ts';
import type { Roster, Rostered } from '#model/effects/roster.ts';
import type { L4DryRun } from '#model/policy/l4.ts';
import type { RecordOrigin, RecordPath, RecordSource } from '#model/telemetry/access-record.ts';
import { Refusal } from '#model/telemetry/close-cause.ts';
import type { DataEffects, DataNamespace } from '#node-agent/effects/data-effects.ts';
import type { ServedWorkload } from '#node-agent/seam/messages.ts';
import type { TunnelPool } from '#protocol/hbone/transport.ts';
import { relayed } from '#protocol/stream/relay.ts';
import type { ConnectionEnd, ConnectionReport } from './access-log.ts';
import type { Answers } from './answers.ts';
import type { Places } from './places.ts';

/** One connection of a workload, as long as its end cuts it. */
export type Call = Rostered & { readonly cut: Cut };

/** A workload whose connections are carried here. */
export type Served = Pick<
  ServedWorkload,
  'enrolment' | 'uid' | 'name' | 'namespace' | 'identity' | 'netnsCookie' | 'share' | 'addresses' | 'probed'
> & {
  readonly netns: DataNamespace;
  readonly pool: TunnelPool;
  /** Connections that it opened or that come to it, carried or about to be; cut when the enrolment ends. */
  readonly calls: Roster<Call>;
};

/** What the handlers of connections share. */
export type DataContext = {
  readonly effects: DataEffects;
  readonly answers: Answers;
  readonly places: Places;
  /** Null: the enrolment has ended. */
  served(enrolment: number): Served | null;
  /** Begins to report one connection. */
  report(origin: RecordOrigin): ConnectionReport;
  /** Tells what policies in dry run would have done to a connection that is carried here. */
  dryRun(decisions: readonly L4DryRun[], source: RecordSource, path: RecordPath): void;
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

/** Relays until both sides are done or `cut` ends them, and tells how it ended. */
export async function carry(client: ByteStream, upstream: ByteStream, cut: Cut): Promise<ConnectionEnd> {
  const { bytesFromA, bytesFromB, error } = await relayed(client, upstream, { cut });
  // A cut shows as an error of the streams; its cause is what is told.
  const why = cut.reason instanceof Refusal ? cut.reason : error instanceof Refusal ? error : null;
  return { refusal: why, error: why ?? error, clientBytes: bytesFromA, serverBytes: bytesFromB };
}
