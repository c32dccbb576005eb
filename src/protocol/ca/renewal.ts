import type { Random } from '#model/effects/clock.ts';
import { CERTIFICATE } from '#model/settings/control-planes.ts';

/** Part of a lifetime over which renewals are spread, so that a fleet started together does not renew together. */
const JITTER_SHARE = 0.05;

/**
 * Whether a certificate is of a time that has not come, by this machine's clock: peers would refuse it. Of one that was not so when it
 * was obtained, it says that the clock was set back.
 */
export function isAhead({ notBeforeMs }: { notBeforeMs: number }, nowMs: number): boolean {
  return notBeforeMs > nowMs;
}

/** Milliseconds until a certificate is to be renewed: from its half-life on (B58), a second when overdue. */
export function renewalDelayMs(validity: { notBeforeMs: number; notAfterMs: number }, nowMs: number, random: Random): number {
  const lifetimeMs = validity.notAfterMs - validity.notBeforeMs;
  const dueMs = validity.notBeforeMs + lifetimeMs / 2 + random() * lifetimeMs * JITTER_SHARE;
  return Math.max(CERTIFICATE.renewalMinMs, Math.ceil(dueMs - nowMs));
}
