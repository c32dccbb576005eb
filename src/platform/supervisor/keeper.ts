import type { Clock } from '#model/effects/clock.ts';
import type { Part } from './part.ts';
import { afterEnding, describeEnding, type Ending, failuresBefore } from './restart.ts';

/** How a part that is kept running was given up. */
export type Departure = { name: string; ending: Ending; exitCode: number };

/** A part of the mesh that is started again when it breaks. */
export type Keeper = {
  name: string;
  /** Settles when the part left on purpose or never worked; never after `stop` or `release`. */
  departed: Promise<Departure>;
  /** Ends it: SIGTERM, and SIGKILL after `waitMs`. */
  stop(waitMs: number): Promise<void>;
  /** Stops keeping it, so that it may end by itself; resolves when it has. */
  release(): Promise<void>;
};

/** What keeping a part needs. */
export type KeeperOptions = {
  /** As a sentence names it: `the agent`. */
  name: string;
  start(): Part;
  /** Whether the mesh was up before: what breaks earlier is not started again. */
  meshIsUp(): boolean;
  clock: Clock;
  tell(sentence: string): void;
};

/** Starts a part and keeps it running. */
export function keep({ name, start, meshIsUp, clock, tell }: KeeperOptions): Keeper {
  const departed = Promise.withResolvers<Departure>();
  const released = Promise.withResolvers<null>();
  let part = start();
  const watch = async (): Promise<void> => {
    for (let failures = 0; ; failures++) {
      const startedMs = clock.monotonicMs();
      const ending = await Promise.race([part.ended, released.promise]);
      if (ending === null) return;
      const ranMs = clock.monotonicMs() - startedMs;
      const after = afterEnding(ending, { ready: meshIsUp(), ranMs, failures });
      if (after.kind === 'end') return departed.resolve({ name, ending, exitCode: after.exitCode });
      failures = failuresBefore({ ranMs, failures });
      tell(`${name} ended ${describeEnding(ending)}; starting it again in ${after.delayMs / 1_000} s`);
      const elapsed = new Promise<'elapsed'>((resolve) => void clock.after(after.delayMs, () => resolve('elapsed')));
      if ((await Promise.race([elapsed, released.promise])) === null) return;
      part = start();
    }
  };
  watch().catch(departed.reject); // a part that cannot be started at all is told to whoever waits for its end
  return {
    name,
    departed: departed.promise,
    async stop(waitMs) {
      released.resolve(null);
      await part.stop(waitMs);
    },
    async release() {
      released.resolve(null);
      await part.ended;
    },
  };
}
