import { type MessagePort, parentPort } from 'node:worker_threads';
import type { Clock } from '#model/effects/clock.ts';
import type { Log } from '#model/effects/log.ts';
import { guardedClock, type Mishaps } from '#model/effects/mishaps.ts';
import { AGENT } from '#model/settings/agents.ts';
import { COMMAND } from '#model/settings/host.ts';
import { SharedLogLevel } from '#model/telemetry/log-level.ts';
import { MeterDeltas } from '#model/telemetry/meter-deltas.ts';
import type { Meters } from '#model/telemetry/meters.ts';
import { sharedDelays, systemClock, turnClock } from '#platform/clock.ts';
import { chooseIo } from '#platform/io/choice/choose.ts';
import type { Io } from '#platform/io/io.ts';
import { collectGarbage } from '#platform/linux/process/garbage.ts';
import { surviveMishaps } from '#platform/linux/process/last-resort.ts';
import { commandLog } from '#platform/telemetry/log.ts';
import { shareLog } from '#platform/telemetry/log-turns.ts';
import type { Link } from '#protocol/seam/common-messages.ts';
import type { FromThread, ThreadData } from './thread-messages.ts';

/** What a data thread has of its own. */
export type ThreadParts = { port: MessagePort; io: Io; clock: Clock; log: Log; mishaps: Mishaps };

/** The first that a data thread does. `part`: whose its lines are. */
export function beginThread(part: string, { log: memory, logLevel }: ThreadData): ThreadParts {
  const port = parentPort;
  if (port === null) throw new Error('a data thread is started by a process of its kind');
  shareLog(memory);
  // Counted and told by the process, for all of its threads.
  const mishaps: Mishaps = {
    report: (entry, error, fields = {}) => {
      const said: FromThread<never, never> = { kind: 'mishap', entry, error, fields: JSON.stringify(fields) };
      port.postMessage(said);
    },
    counts: () => new Map(),
  };
  surviveMishaps(mishaps);
  const clock = guardedClock(sharedDelays(systemClock), mishaps);
  clock.after(COMMAND.startedMs, collectGarbage);
  const log = commandLog(part, process.env, undefined, new SharedLogLevel('info', logLevel), turnClock(clock));
  return { port, io: chooseIo(process.env.WEFT_IO, clock, mishaps), clock, log, mishaps };
}

/** What a data thread's end of the seam is made of: `counts` is what it has now, of which two that are equal have one text. */
export type Telling<Counts> = { meters: Meters; counts(): Counts; textOf(counts: Counts): string };

/** The thread's end of the seam, which tells what was counted, too: now and then, and ahead of whoever waited for a mark. */
export function linkOf<ToControl extends { readonly kind: string }, Counts>(
  { port, clock }: ThreadParts,
  { meters, counts, textOf }: Telling<Counts>,
): Link<ToControl> & { tell(): void } {
  const deltas = new MeterDeltas(meters);
  let told: string | null = null;
  const say = (message: FromThread<ToControl, Counts>): void => port.postMessage(message);
  const tell = (): void => {
    const now = counts();
    const grown = deltas.take();
    const text = textOf(now);
    if (grown.length === 0 && told === text) return;
    told = text;
    say({ kind: 'counted', deltas: grown, counts: now });
  };
  clock.every(AGENT.countsPeriodMs, tell);
  return {
    tell,
    send(message) {
      if (message.kind === 'marked') tell(); // whoever waited for it may look at what was counted
      say({ kind: 'seam', message });
    },
  };
}
