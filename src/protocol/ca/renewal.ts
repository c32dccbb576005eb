import type { Random } from '#model/effects/clock.ts';
import { CERTIFICATE } from '#model/settings/control-planes.ts';

/** Part of a lifetime over which renewals are spread, so that a fleet started together does not renew together. */
const JITTER_SHARE = 0.05;

/** Milliseconds until a certificate is to be renewed: from its half-life on (B58), a second when overdue. */
export function renewalDelayMs(validity: { notBeforeMs: number; notAfterMs: number }, nowMs: number, random: Random): number {
  const lifetimeMs = validity.notAfterMs - validity.notBeforeMs;
  const dueMs = validity.notBeforeMs + lifetimeMs / 2 + random() * lifetimeMs * JITTER_SHARE;
  return Math.max(CERTIFICATE.renewalMinMs, Math.ceil(dueMs - nowMs));
}
