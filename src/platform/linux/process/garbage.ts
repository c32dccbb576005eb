import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { Cancel } from '#model/effects/clock.ts';
import { toLastResort } from '#model/effects/mishaps.ts';
import { systemClock } from '#platform/clock.ts';
import { mallocTrim } from '#platform/ffi/libc.ts';

/**
 * Collects all garbage of this thread at once, and gives its memory back: some milliseconds for each 10 MB of it that are in use. What a
 * start leaves behind would else lie there until the heap has grown by a third of what is in use, which on a quiet node may take days.
 */
export function collectGarbage(): void {
  collect ??= exposed();
  collect();
}

let collect: (() => void) | null = null;

/** Node.js has no call for it: V8 gives one to contexts that are made when it was told to. */
function exposed(): () => void {
  setFlagsFromString('--expose-gc');
  return runInNewContext('gc') as () => void;
}

/** When a process gives back what it does not need any more. `collectsAfterMs`: so long after it has begun its garbage is collected; null: V8 knows best. */
export type GivingBack = { begun: Promise<void>; everyMs: number; collectsAfterMs: number | null };

/**
 * Gives back what was freed once a process has begun, and again now and then: the buffers of a start, or of a change of very much, lie
 * between what is in use, where the C library keeps them. Returns how to end it.
 */
export function givingFreedBack({ begun, everyMs, collectsAfterMs }: GivingBack): Cancel {
  const giveBack = (): void => {
    mallocTrim(0);
  };
  let cancelCollection: Cancel = () => {};
  const onBegun = (): void => {
    giveBack();
    if (collectsAfterMs === null) return;
    cancelCollection = systemClock.after(collectsAfterMs, () => {
      collectGarbage();
      giveBack(); // what lay behind the buffers that were garbage
    });
  };
  begun.then(onBegun).catch(toLastResort);
  const cancelTrim = systemClock.every(everyMs, giveBack);
  return () => {
    cancelTrim();
    cancelCollection();
  };
}
