import type { Clock, Random } from '#model/effects/clock.ts';
import { messageOf } from '#model/error.ts';
import { type RestartPolicy, startsAgain } from '#model/launch/restart-policy.ts';
import { Retry } from '#model/resilience/retry.ts';
import { COMMAND } from '#model/settings/host.ts';

/** What keeping a command running needs. */
export type KeepEffects = {
  clock: Clock;
  random: Random;
  /** Runs it once, to its end; calls `started` when the command is there. Resolves to its exit code. */
  once(started: () => void): Promise<number>;
  /** Calls `listener` whenever this process is asked to end; returns how to end that. */
  onAsked(listener: () => void): () => void;
  /** False once nobody wants it any more. */
  isWanted(): boolean;
  /** The command is there for the first time. */
  ready(): void;
  warn(sentence: string): void;
};

/**
 * Runs a command, and again as its policy says, later and later, until this process is asked to end or nobody wants it. Resolves to
 * the last exit code. What never ran is not tried again: errors of the first start are those of `once`; later ones are told and
 * tried again, since an agent that is being replaced comes back.
 */
export async function keepRunning(policy: RestartPolicy, effects: KeepEffects): Promise<number> {
  const { clock } = effects;
  let [isAsked, hasRun, times, code] = [false, false, 0, 1];
  let goOn = (): void => {};
  const retry = new Retry(effects, { firstMs: COMMAND.runRestartFirstMs, maxMs: COMMAND.runRestartMaxMs }, () => goOn());
  const forget = effects.onAsked(() => {
    isAsked = true;
    goOn();
  });
  const stopLooking = clock.every(COMMAND.runLookMs, () => void (effects.isWanted() || goOn()));
  const isOver = (): boolean => isAsked || !effects.isWanted();
  const started = (): void => {
    if (!hasRun) effects.ready();
    hasRun = true;
  };
  try {
    while (true) {
      const startedMs = clock.monotonicMs();
      const ending = await endingOf(effects.once(started));
      if ('error' in ending && !hasRun) throw ending.error;
      if ('code' in ending) code = ending.code;
      if (isOver() || !hasRun || ('code' in ending && !startsAgain(policy, { code, times }))) return code;
      if (clock.monotonicMs() - startedMs >= COMMAND.runStableMs) retry.succeeded();
      const { promise, resolve } = Promise.withResolvers<void>();
      goOn = resolve;
      const how = 'code' in ending ? `the command ended with exit code ${code}` : messageOf(ending.error);
      effects.warn(`weft: ${how}; starting it again in ${retry.failed() / 1_000} s\n`);
      await promise;
      if (isOver()) return code;
      if ('code' in ending) times += 1;
    }
  } finally {
    stopLooking();
    forget();
    retry.close();
  }
}

async function endingOf(run: Promise<number>): Promise<{ code: number } | { error: unknown }> {
  try {
    return { code: await run };
  } catch (error) {
    return { error };
  }
}
