import type { Random } from '#model/effects/clock.ts';

/** Part of a lifetime over which renewals are spread, so that a fleet started together does not renew together. */
const JITTER_SHARE = 0.05;
/** A certificate that is overdue as soon as it arrives (its signer is about to expire) is not asked for in a loop. */
const RENEWAL_MIN_MS = 1_000;
const RETRY_FIRST_MS = 1_000;
const RETRY_MAX_MS = 150_000;
/** Retries vary by this share in both directions. */
const RETRY_SPREAD = 0.2;

/** Milliseconds until a certificate is to be renewed: from its half-life on (B58), a second when overdue. */
export function renewalDelayMs(validity: { notBeforeMs: number; notAfterMs: number }, nowMs: number, random: Random): number {
  const lifetimeMs = validity.notAfterMs - validity.notBeforeMs;
  const dueMs = validity.notBeforeMs + lifetimeMs / 2 + random() * lifetimeMs * JITTER_SHARE;
  return Math.max(RENEWAL_MIN_MS, Math.ceil(dueMs - nowMs));
}

/** Milliseconds before attempt `failures` + 1: about 1 s, doubling, ±20 %, at most 150 s. failures: at least 1. */
export function retryDelayMs(failures: number, random: Random): number {
  const middleMs = RETRY_FIRST_MS * 2 ** Math.min(failures - 1, 20);
  const spread = 1 - RETRY_SPREAD + 2 * RETRY_SPREAD * random();
  return Math.min(RETRY_MAX_MS, Math.round(middleMs * spread));
}
