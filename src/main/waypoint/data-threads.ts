import { serialize } from 'node:v8';
import { keepBusy, onDrill } from '#main/threads/drill.ts';
import { sharedLog, startThread } from '#main/threads/start-thread.ts';
import type { Log } from '#model/effects/log.ts';
import type { Mishaps } from '#model/effects/mishaps.ts';
import type { Meters } from '#model/telemetry/meters.ts';
import type { PlaneOptions } from '#waypoint/plane/data-plane.ts';
import type { Plane, ToControl, ToData } from '#waypoint/seam/messages.ts';
import { NO_COUNTS, type WaypointCounts } from '#waypoint/self/counters.ts';
import { READ_IN_TURNS, type WaypointThreadData } from './data-thread.ts';

/** What data threads are started with. */
export type DataThreadsParts = {
  readonly plane: Omit<PlaneOptions, 'threads' | 'tellsProblems'>;
  /** Where the node's agent pins its data path. */
  readonly pinDir: string | null;
  readonly meters: Meters;
  readonly log: Log;
  readonly mishaps: Mishaps;
};

/** Starts data threads, each of which serves a part of the connections. */
export function startDataThreads(
  count: number,
  parts: DataThreadsParts,
  receive: (from: Plane, message: ToControl) => void,
): Plane[] {
  onDrill('busy-control', keepBusy);
  const bytesOf = serializedOnce();
  return Array.from({ length: count }, (_, at) => startDataThread({ at, count, bytesOf }, parts, receive));
}

function startDataThread(
  { at, count, bytesOf }: { at: number; count: number; bytesOf: (message: ToData) => Uint8Array },
  { plane: whose, pinDir, meters, log, mishaps }: DataThreadsParts,
  receive: (from: Plane, message: ToControl) => void,
): Plane {
  const data: WaypointThreadData = {
    ...sharedLog(),
    kind: 'weft-waypoint-thread',
    plane: { ...whose, threads: count, tellsProblems: at === 0 },
    threads: count,
    pinDir,
  };
  let counts: WaypointCounts = NO_COUNTS;
  const thread = startThread<ToControl, WaypointCounts>(data, {
    process: 'waypoint',
    remedy: 'none: the control plane starts the waypoint again',
    ...{ meters, log, mishaps },
    receive: (message) => receive(plane, message),
    counted: (now) => {
      counts = now;
    },
  });
  const plane: Plane = {
    send: (message) => thread.post(READ_IN_TURNS.includes(message.kind) ? bytesOf(message) : message),
    ended: () => thread.ending(),
    get counts() {
      return counts;
    },
  };
  return plane;
}

/** All threads are told the same, one after the other: it is turned into bytes for the first of them. */
function serializedOnce(): (message: ToData) => Uint8Array {
  let last: ToData | null = null;
  let bytes: Uint8Array = new Uint8Array(0);
  return (message) => {
    if (message !== last) {
      last = message;
      bytes = serialize(message);
    }
    return bytes;
  };
}
