import { parentPort, workerData } from 'node:worker_threads';
import { guardedClock, type Mishaps } from '#model/effects/mishaps.ts';
import { MAPS, type MapDefinition, type MapName } from '#model/kernel/maps.ts';
import { AGENT } from '#model/settings/agents.ts';
import { ProcessShares } from '#model/share/process-shares.ts';
import { SharedLogLevel } from '#model/telemetry/log-level.ts';
import { type MeterDelta, MeterDeltas } from '#model/telemetry/meter-deltas.ts';
import { Meters } from '#model/telemetry/meters.ts';
import { carryThere } from '#node-agent/data-plane.ts';
import type { ToControl, ToData } from '#node-agent/seam/messages.ts';
import { BpfMap } from '#platform/bpf/map.ts';
import type { DatapathMaps } from '#platform/bpf/pins.ts';
import { sharedDelays, systemClock } from '#platform/clock.ts';
import { chooseIo } from '#platform/io/choice/choose.ts';
import { rememberHome } from '#platform/linux/netns/namespace.ts';
import { surviveMishaps } from '#platform/linux/process/last-resort.ts';
import { shareLog } from '#platform/telemetry/line-buffer.ts';
import { commandLog } from '#platform/telemetry/log.ts';
import { carryEffects } from './carry-effects.ts';

/** The maps that carrying takes; each thread has descriptors of its own. */
export const CARRIED_MAPS = ['captured', 'attested', 'addresses', 'ownSockets', 'peers'] as const satisfies readonly MapName[];

/** What a data thread is started with. */
export type ThreadData = {
  readonly kind: 'weft-data-thread';
  readonly trustDomain: string;
  readonly capacity: number;
  /** How many there are. */
  readonly threads: number;
  readonly shares: SharedArrayBuffer;
  /** What its log shares with that of the agent. */
  readonly log: SharedArrayBuffer;
  /** The level below which it writes nothing. */
  readonly logLevel: SharedArrayBuffer;
  readonly maps: Readonly<Record<(typeof CARRIED_MAPS)[number], number>>;
};

/** What a data thread has now. */
export type ThreadCounts = { readonly carried: number; readonly calls: number; readonly tunnels: number };

/** What a data thread says beside what passes the seam. */
export type FromThread =
  | { readonly kind: 'seam'; readonly message: ToControl }
  | { readonly kind: 'counted'; readonly deltas: readonly MeterDelta[]; readonly counts: ThreadCounts }
  | {
      readonly kind: 'mishap';
      readonly entry: Parameters<Mishaps['report']>[0];
      readonly error: unknown;
      readonly fields: string;
    };

/** Carries connections in this thread for as long as the process lives. */
export function carryInThread(): void {
  const port = parentPort;
  if (port === null) throw new Error('a data thread is started by an agent');
  const { trustDomain, capacity, threads, shares: memory, log: logMemory, logLevel, maps: fds } = workerData as ThreadData;
  shareLog(logMemory);
  rememberHome();
  const say = (message: FromThread): void => port.postMessage(message);
  // Counted and told by the agent, for all of its threads.
  const mishaps: Mishaps = {
    report: (entry, error, fields = {}) => say({ kind: 'mishap', entry, error, fields: JSON.stringify(fields) }),
    counts: () => new Map(),
  };
  surviveMishaps(mishaps);
  const clock = guardedClock(sharedDelays(systemClock), mishaps);
  const log = commandLog('agent', process.env, undefined, new SharedLogLevel('info', logLevel));
  const io = chooseIo(process.env.WEFT_IO, clock, mishaps);
  const maps = openCarriedMaps(fds);
  const meters = new Meters('agent');
  const shares = new ProcessShares(capacity, memory);
  const deltas = new MeterDeltas(meters);
  let told = '';
  const tell = (): void => {
    const { carried, calls, tunnels } = thread.plane;
    const grown = deltas.take();
    if (grown.length === 0 && told === `${carried} ${calls} ${tunnels}`) return;
    told = `${carried} ${calls} ${tunnels}`;
    say({ kind: 'counted', deltas: grown, counts: { carried, calls, tunnels } });
  };
  const link = {
    send(message: ToControl): void {
      if (message.kind === 'marked') tell(); // whoever waited for it may look at what was counted
      say({ kind: 'seam', message });
    },
  };
  const thread = carryThere(
    (certificates) => carryEffects({ io, maps, certificates, clock, log, mishaps }, { meters, shares, threads }),
    {
      link,
      clock,
      trustDomain,
    },
  );
  port.on('message', (message: ToData) => thread.receive(message));
  clock.every(AGENT.countsPeriodMs, tell);
}

function openCarriedMaps(fds: ThreadData['maps']): Pick<DatapathMaps, (typeof CARRIED_MAPS)[number]> {
  const opened = CARRIED_MAPS.map((name) => [name, new BpfMap(name, fds[name], MAPS[name] as MapDefinition<unknown, unknown>)]);
  return Object.fromEntries(opened) as Pick<DatapathMaps, (typeof CARRIED_MAPS)[number]>;
}
