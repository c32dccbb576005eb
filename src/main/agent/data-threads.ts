import { Worker } from 'node:worker_threads';
import type { Log } from '#model/effects/log.ts';
import type { Mishaps } from '#model/effects/mishaps.ts';
import { addDeltas } from '#model/telemetry/meter-deltas.ts';
import type { Carrier, ControlSide } from '#node-agent/effects/agent-effects.ts';
import type { DatapathMaps } from '#platform/bpf/pins.ts';
import { duplicate } from '#platform/linux/netns/sockets.ts';
import { WEFT_PROGRAM } from '#platform/program/installation.ts';
import { CARRIED_MAPS, type FromThread, type ThreadCounts, type ThreadData } from './data-thread.ts';

/** What data threads are started with. */
export type DataThreadsParts = { readonly maps: DatapathMaps; readonly log: Log; readonly mishaps: Mishaps };

/** With WEFT_IO=node the agent's own thread carries: threads are of the I/O core. */
export function threadsFor(wanted: number, io: string | undefined = process.env.WEFT_IO): number {
  return io === 'node' ? 0 : wanted;
}

/** Starts data threads, each of which carries a part of the connections. */
export function startDataThreads(count: number, control: ControlSide, parts: DataThreadsParts): Carrier[] {
  return Array.from({ length: count }, () => startDataThread(control, parts));
}

function startDataThread(control: ControlSide, { maps, log, mishaps }: DataThreadsParts): Carrier {
  const { meters, shares, trustDomain } = control;
  const data: ThreadData = {
    kind: 'weft-data-thread',
    trustDomain,
    capacity: shares.capacity,
    shares: shares.memory,
    maps: Object.fromEntries(CARRIED_MAPS.map((name) => [name, duplicate(maps[name].fd)])) as ThreadData['maps'],
  };
  const worker = new Worker(WEFT_PROGRAM, { workerData: data, argv: [], name: 'weft-data' });
  let counts: ThreadCounts = { carried: 0, calls: 0, tunnels: 0 };
  const carrier: Carrier = {
    send: (message) => worker.postMessage(message),
    get carried() {
      return counts.carried;
    },
    get calls() {
      return counts.calls;
    },
    get tunnels() {
      return counts.tunnels;
    },
  };
  worker.on('message', (said: FromThread) => {
    switch (said.kind) {
      case 'seam':
        return control.receive(carrier, said.message);
      case 'counted':
        counts = said.counts;
        return addDeltas(meters, said.deltas);
      case 'mishap':
        return mishaps.report(said.entry, said.error, JSON.parse(said.fields));
      default:
        return said satisfies never;
    }
  });
  worker.on('error', (error) => log.error({ err: error }, 'a data thread cannot go on'));
  // Nobody would carry its part: the next agent adopts what the kernel carries.
  worker.on('exit', () => process.exit(1));
  worker.unref();
  return carrier;
}
