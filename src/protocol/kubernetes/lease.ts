import { KUBERNETES } from '#model/settings/kubernetes.ts';
import type { KubeObject } from './objects.ts';

/** The spec of a Lease. Times are texts with microseconds. */
export type LeaseSpec = {
  holderIdentity?: string;
  leaseDurationSeconds?: number;
  acquireTime?: string;
  renewTime?: string;
  leaseTransitions?: number;
};

/** A lease as it was seen; `sinceMs`: of our own clock that goes on evenly, when it was seen to change. */
export type SeenLease = { spec: LeaseSpec; version: string; sinceMs: number };

/** What is seen now, after what was seen before. */
export function seenLease({ spec, metadata }: KubeObject, before: SeenLease | null, nowMs: number): SeenLease {
  const version = metadata.resourceVersion ?? '';
  const sinceMs = before?.version === version ? before.sinceMs : nowMs;
  return { spec: (spec ?? {}) as LeaseSpec, version, sinceMs };
}

/**
 * The lease as `identity` takes it; null: somebody else has it, and has renewed it within its time by our own clock. What its times
 * say is for people: clocks differ. `seen` null: there is none.
 */
export function leaseToTake(seen: SeenLease | null, identity: string, nowMs: number, monotonicMs: number): LeaseSpec | null {
  const { holderIdentity = '', leaseDurationSeconds = KUBERNETES.leaseSeconds, leaseTransitions = 0 } = seen?.spec ?? {};
  const isOthers = holderIdentity !== '' && holderIdentity !== identity;
  if (seen !== null && isOthers && monotonicMs - seen.sinceMs < leaseDurationSeconds * 1_000) return null;
  const now = new Date(nowMs).toISOString().replace('Z', '000Z');
  return {
    holderIdentity: identity,
    leaseDurationSeconds: KUBERNETES.leaseSeconds,
    acquireTime: now,
    renewTime: now,
    leaseTransitions: seen === null ? 0 : leaseTransitions + 1,
  };
}
