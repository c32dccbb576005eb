import type { Random } from '#model/effects/clock.ts';

/** Chance for jitter and balancing; never for secrets. */
export const systemRandom: Random = () => Math.random();
