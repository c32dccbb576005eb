import { deserialize } from 'node:v8';
import { workerData } from 'node:worker_threads';
import { beginThread, linkOf } from '#main/threads/run-thread.ts';
import type { ThreadData } from '#main/threads/thread-messages.ts';
import { Meters } from '#model/telemetry/meters.ts';
import { flowsOf } from '#platform/bpf/attested-flows.ts';
import { CredentialBook } from '#protocol/seam/credential-book.ts';
import { DataPlane, type PlaneOptions } from '#waypoint/plane/data-plane.ts';
import type { ToControl, ToData } from '#waypoint/seam/messages.ts';
import type { WaypointCounts } from '#waypoint/self/counters.ts';
import { planeEffects } from './plane-effects.ts';

/** What a data thread of a waypoint is started with. */
export type WaypointThreadData = ThreadData & {
  readonly kind: 'weft-waypoint-thread';
  readonly plane: PlaneOptions;
  /** Where the node's agent pins its data path; null: it is not to be seen. */
  readonly pinDir: string | null;
};

/** Messages that come as bytes: read one in a turn, since a turn that read all of a first sync would let connections wait. */
export const READ_IN_TURNS: readonly ToData['kind'][] = ['mesh', 'base', 'service', 'configure', 'mark'];

/** Serves connections in this thread until it is told to end. */
export function serveInThread(): void {
  const data = workerData as WaypointThreadData;
  const parts = beginThread('waypoint', data);
  const { port, clock } = parts;
  const meters = new Meters('waypoint');
  const link = linkOf<ToControl, WaypointCounts>(parts, {
    meters,
    counts: () => plane.counts,
    textOf: (counts) => JSON.stringify(counts),
  });
  const certificates = new CredentialBook(link, clock);
  const flows = flowsOf(data.pinDir);
  const plane = new DataPlane(data.plane, planeEffects({ ...parts, flows, certificates, meters }), link);
  const receive = (message: ToData): void => {
    if (message.kind === 'credentials') certificates.take(message);
    plane.receive(message);
    if (message.kind !== 'end') return;
    link.tell();
    process.exit(0); // of this thread: what it has logged is written then
  };
  const inTurns = turns<Uint8Array>((bytes) => receive(deserialize(bytes)));
  port.on('message', (message: ToData | Uint8Array) => (message instanceof Uint8Array ? inTurns(message) : receive(message)));
}

/** Does one of many in each turn of the loop, in their order. */
function turns<One>(act: (one: One) => void): (one: One) => void {
  const waiting: One[] = [];
  const next = (): void => {
    const one = waiting.shift();
    if (waiting.length > 0) setImmediate(next); // first: what throws is told, and ends nothing
    if (one !== undefined) act(one);
  };
  return (one) => {
    if (waiting.push(one) === 1) setImmediate(next);
  };
}
