import { Worker } from 'node:worker_threads';
import type { Log } from '#model/effects/log.ts';
import type { Mishaps } from '#model/effects/mishaps.ts';
import { WeftError } from '#model/error.ts';
import { AGENT } from '#model/settings/agents.ts';
import { addDeltas } from '#model/telemetry/meter-deltas.ts';
import type { Carrier, ControlSide } from '#node-agent/effects/agent-effects.ts';
import type { DatapathMaps } from '#platform/bpf/pins.ts';
import { duplicate } from '#platform/linux/netns/sockets.ts';
import { WEFT_PROGRAM } from '#platform/program/installation.ts';
import { logShared } from '#platform/telemetry/line-buffer.ts';
import { processLogLevel } from '#platform/telemetry/log.ts';
import { CARRIED_MAPS, type FromThread, type ThreadCounts, type ThreadData } from './data-thread.ts';

/** What data threads are started with. */
export type DataThreadsParts = { readonly maps: DatapathMaps; readonly log: Log; readonly mishaps: Mishaps };

/** Starts data threads, each of which carries a part of the connections. */
export function startDataThreads(count: number, control: ControlSide, parts: DataThreadsParts): Carrier[] {
  onDrill('busy-control', keepBusy);
  return Array.from({ length: count }, () => startDataThread(control, parts, count));
}

function startDataThread(control: ControlSide, { maps, log, mishaps }: DataThreadsParts, threads: number): Carrier {
  const { meters, shares, trustDomain } = control;
  const data: ThreadData = {
    kind: 'weft-data-thread',
    trustDomain,
    capacity: shares.capacity,
    threads,
    log: logShared(),
    shares: shares.memory,
    logLevel: processLogLevel.memory,
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
  worker.on('exit', (code) => {
    const remedy = 'start the agent again, as its service manager does: it goes on with what the kernel carries';
    const error = new WeftError('WEFT_THREAD', `a thread that carries connections has ended with exit code ${code}`, { remedy });
    log.error({ err: error }, 'this agent ends: nobody else carries the connections of that thread');
    process.exit(1);
  });
  onDrill('end-data-thread', () => {
    worker.terminate().catch((error: unknown) => mishaps.report('process', error));
  });
  worker.unref();
  return carrier;
}

/** What an agent can be had to do to itself, for those who want to see what comes of it. */
type Drill = 'busy-control' | 'end-data-thread';

/** Only when WEFT_DRILL names it, which no unit and no manual does: SIGUSR2 then does this. */
function onDrill(name: Drill, act: () => void): void {
  if (process.env.WEFT_DRILL === name) process.on('SIGUSR2', act);
}

/** Does nothing else in this thread for ten seconds, as a large policy or a first sync would. */
function keepBusy(): void {
  const endMs = performance.now() + AGENT.drillBusyMs;
  while (performance.now() < endMs);
}
