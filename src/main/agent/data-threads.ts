import { keepBusy, onDrill } from '#main/threads/drill.ts';
import { type SpareThread, sharedLog, spareThread, startThread, threadAhead } from '#main/threads/start-thread.ts';
import type { Log } from '#model/effects/log.ts';
import type { Mishaps } from '#model/effects/mishaps.ts';
import type { Carrier, ControlSide } from '#node-agent/effects/agent-effects.ts';
import type { ToControl } from '#node-agent/seam/messages.ts';
import type { DatapathMaps } from '#platform/bpf/pins.ts';
import { duplicate } from '#platform/linux/netns/sockets.ts';
import { type AgentThreadData, CARRIED_MAPS, type SpareThreadData, type ThreadCounts } from './data-thread.ts';

/** What data threads are started with. */
export type DataThreadsParts = {
  readonly maps: DatapathMaps;
  readonly log: Log;
  readonly mishaps: Mishaps;
  /** Those that wait for their part already. */
  readonly spares: readonly SpareThread[];
};

/** Starts data threads ahead of their part. Errors: those of their program. */
export function spareDataThreads(count: number): Promise<SpareThread[]> {
  return Promise.all(Array.from({ length: count }, () => spareThread('weft-spare-thread' satisfies SpareThreadData['kind'])));
}

/** The same without waiting for them: their part waits, until their program is there. */
export function beginDataThreads(count: number): SpareThread[] {
  return Array.from({ length: count }, () => threadAhead('weft-spare-thread' satisfies SpareThreadData['kind']));
}

/** Starts data threads, each of which carries a part of the connections. */
export function startDataThreads(count: number, control: ControlSide, parts: DataThreadsParts): Carrier[] {
  onDrill('busy-control', keepBusy);
  return Array.from({ length: count }, (_, at) => startDataThread(control, { ...parts, spare: parts.spares[at] }, count));
}

function startDataThread(
  control: ControlSide,
  { maps, log, mishaps, spare }: DataThreadsParts & { spare: SpareThread | undefined },
  threads: number,
): Carrier {
  const { meters, shares, trustDomain } = control;
  const data: AgentThreadData = {
    ...sharedLog(),
    kind: 'weft-data-thread',
    trustDomain,
    capacity: shares.capacity,
    threads,
    shares: shares.memory,
    maps: Object.fromEntries(CARRIED_MAPS.map((name) => [name, duplicate(maps[name].fd)])) as AgentThreadData['maps'],
  };
  let counts: ThreadCounts = { carried: 0, calls: 0, tunnels: 0 };
  const thread = startThread<ToControl, ThreadCounts>(data, {
    process: 'agent',
    // The next agent adopts what the kernel carries.
    remedy: 'start the agent again, as its service manager does: it goes on with what the kernel carries',
    ...{ meters, log, mishaps, ...(spare === undefined ? {} : { spare }) },
    receive: (message) => control.receive(carrier, message),
    counted: (now) => {
      counts = now;
    },
  });
  const carrier: Carrier = {
    send: (message) => thread.post(message),
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
  return carrier;
}
