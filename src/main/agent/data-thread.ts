import { parentPort } from 'node:worker_threads';
import { beginThread, linkOf } from '#main/threads/run-thread.ts';
import { type ThreadData, WAITING } from '#main/threads/thread-messages.ts';
import { MAPS, type MapDefinition, type MapName } from '#model/kernel/maps.ts';
import { ProcessShares } from '#model/share/process-shares.ts';
import { Meters } from '#model/telemetry/meters.ts';
import { carryThere } from '#node-agent/data-plane.ts';
import type { ToControl, ToData } from '#node-agent/seam/messages.ts';
import { BpfMap } from '#platform/bpf/map.ts';
import type { DatapathMaps } from '#platform/bpf/pins.ts';
import { rememberHome } from '#platform/linux/netns/namespace.ts';
import { carryEffects } from './carry-effects.ts';

/** The maps that carrying takes; each thread has descriptors of its own. */
export const CARRIED_MAPS = ['captured', 'attested', 'addresses', 'ownSockets', 'peers'] as const satisfies readonly MapName[];

/** What a data thread of an agent is started with. */
export type AgentThreadData = ThreadData & {
  readonly kind: 'weft-data-thread';
  readonly trustDomain: string;
  readonly capacity: number;
  readonly shares: SharedArrayBuffer;
  readonly maps: Readonly<Record<(typeof CARRIED_MAPS)[number], number>>;
};

/** What a data thread is started with that is told its part later. */
export type SpareThreadData = { readonly kind: 'weft-spare-thread' };

/** What a data thread has now. */
export type ThreadCounts = { readonly carried: number; readonly calls: number; readonly tunnels: number };

/** Says that carrying could begin here, and begins when this thread is told its part. */
export function carryWhenTold(): void {
  parentPort?.once('message', (data: AgentThreadData) => carryInThread(data));
  parentPort?.postMessage(WAITING);
}

/** Carries connections in this thread for as long as the process lives. */
export function carryInThread(data: AgentThreadData): void {
  const { trustDomain, capacity, threads, shares: memory, maps: fds } = data;
  const parts = beginThread('agent', data);
  const { port, clock } = parts;
  rememberHome();
  const maps = openCarriedMaps(fds);
  const meters = new Meters('agent');
  const shares = new ProcessShares(capacity, memory);
  const link = linkOf<ToControl, ThreadCounts>(parts, {
    meters,
    counts: () => {
      const { carried, calls, tunnels } = thread.plane;
      return { carried, calls, tunnels };
    },
    textOf: ({ carried, calls, tunnels }) => `${carried} ${calls} ${tunnels}`,
  });
  const thread = carryThere((certificates) => carryEffects({ ...parts, maps, certificates }, { meters, shares, threads }), {
    link,
    clock,
    trustDomain,
  });
  port.on('message', (message: ToData) => thread.receive(message));
}

function openCarriedMaps(fds: AgentThreadData['maps']): Pick<DatapathMaps, (typeof CARRIED_MAPS)[number]> {
  const opened = CARRIED_MAPS.map((name) => [name, new BpfMap(name, fds[name], MAPS[name] as MapDefinition<unknown, unknown>)]);
  return Object.fromEntries(opened) as Pick<DatapathMaps, (typeof CARRIED_MAPS)[number]>;
}
