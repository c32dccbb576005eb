import assert from 'node:assert/strict';
import test from 'node:test';
import { KUBERNETES } from '#model/settings/kubernetes.ts';
import { leaseToTake, seenLease } from './lease.ts';

const NOW_MS = Date.parse('2026-01-01T00:00:00Z');

function lease(holderIdentity: string, version: number) {
  const spec = { holderIdentity, leaseDurationSeconds: 15, leaseTransitions: 3, renewTime: '1999-01-01T00:00:00.000000Z' };
  return {
    apiVersion: 'coordination.k8s.io/v1',
    kind: 'Lease',
    metadata: { name: 'weft', resourceVersion: String(version) },
    spec,
  };
}

test('K92: a lease is free when it was not seen to change for its time, whatever its own times say', () => {
  const first = seenLease(lease('other', 1), null, 1_000);
  assert.equal(leaseToTake(first, 'me', NOW_MS, 1_000), null, 'its renewal lies decades back: clocks differ');
  const renewed = seenLease(lease('other', 2), first, 14_000);
  assert.equal(leaseToTake(renewed, 'me', NOW_MS, 28_000), null);
  const same = seenLease(lease('other', 2), renewed, 28_000);
  assert.equal(same.sinceMs, 14_000);
  const taken = leaseToTake(same, 'me', NOW_MS, 29_000);
  assert.deepEqual(taken, {
    holderIdentity: 'me',
    leaseDurationSeconds: KUBERNETES.leaseSeconds,
    acquireTime: '2026-01-01T00:00:00.000000Z',
    renewTime: '2026-01-01T00:00:00.000000Z',
    leaseTransitions: 4,
  });
});

test('K93: one that was given back, or that there is none of, is taken at once', () => {
  assert.equal(leaseToTake(seenLease(lease('', 1), null, 0), 'me', NOW_MS, 0)?.holderIdentity, 'me');
  assert.equal(leaseToTake(null, 'me', NOW_MS, 0)?.leaseTransitions, 0);
});

test('K92: whoever gives up does so before anybody else may take it, and that is less than 15 s after the last renewal', () => {
  const { leaseGiveUpMs, leaseRenewMs, leaseSeconds } = KUBERNETES;
  assert.ok(leaseGiveUpMs + leaseRenewMs < leaseSeconds * 1_000);
  assert.ok(leaseSeconds * 1_000 + 2 * leaseRenewMs < 15_000);
});
