import assert from 'node:assert/strict';
import test from 'node:test';
import { SILENT_LOG } from '#model/effects/log.ts';
import type { Credentials, Identity } from '#model/identity/identity.ts';
import { SteppedClock } from '#platform/stepped-clock.testing.ts';
import { readSigningRequest } from './accepted-request.ts';
import { CertificateCache } from './certificate-cache.ts';
import { issueLeaf, replyChain } from './issue.ts';
import { renewalDelayMs } from './renewal.ts';
import { createRoot, loadSigner } from './signer.ts';

const HOUR_MS = 3_600_000;
const START = Date.parse('2026-03-01T12:00:00Z');
const root = await createRoot('cluster.local', START);
const signer = await loadSigner({ ...root, rootsPem: root.certificatePem }, START);

function identity(serviceAccount: string): Identity {
  return { trustDomain: 'cluster.local', namespace: 'shop', serviceAccount };
}
const ratings = identity('ratings');

type Asked = { identity: Identity; ttlSeconds: number };

/** A cache over an authority that answers as `answer` says; `settled` waits until no request is under way. `authorityAheadMs`: how far its clock is. */
function cacheWith(answer: (asked: Asked) => Promise<void> | void = () => {}, authorityAheadMs = 0) {
  const clock = new SteppedClock(START);
  const asked: Asked[] = [];
  let running = 0;
  let peak = 0;
  const cache = new CertificateCache({
    clock,
    random: () => 0,
    log: SILENT_LOG,
    async fetch({ csrPem, identity, ttlSeconds }) {
      asked.push({ identity, ttlSeconds });
      peak = Math.max(peak, ++running);
      try {
        await answer({ identity, ttlSeconds });
        const request = await readSigningRequest(csrPem);
        const leaf = await issueLeaf(signer, {
          request,
          subject: { kind: 'workload', identity },
          ttlMs: ttlSeconds * 1_000,
          nowMs: clock.nowMs() + authorityAheadMs,
        });
        return replyChain(signer, leaf);
      } finally {
        running -= 1;
      }
    },
  });
  const settled = async () => {
    while (cache.snapshot().some(({ renewing }) => renewing)) await new Promise((resolve) => setImmediate(resolve));
  };
  return { cache, clock, asked, settled, peak: () => peak };
}

/** The half of a lifetime of 24 h that began two minutes before. */
const HALF_LIFE_MS = (24 * HOUR_MS + 120_000) / 2 - 120_000;

test('B57: a certificate is asked for with a lifetime of 86400 s and once, however many wait', async () => {
  const { cache, asked } = cacheWith();
  const all = await Promise.all([cache.get(ratings), cache.get(ratings), cache.get(ratings)]);
  assert.equal(new Set(all).size, 1);
  assert.deepEqual(asked, [{ identity: ratings, ttlSeconds: 86_400 }]);
  assert.equal(await cache.get(ratings), all[0]);
  assert.equal(asked.length, 1);
});

test('what is at hand is what is valid now: not before it was fetched, not after it has expired, and asking fetches nothing', async () => {
  const { cache, clock, asked } = cacheWith(() => (asked.length > 1 ? Promise.reject(new Error('down')) : undefined));
  assert.deepEqual([cache.current(ratings), asked.length], [null, 0]);
  const first = await cache.get(ratings);
  assert.equal(cache.current({ ...ratings }), first);
  clock.advance(24 * HOUR_MS);
  assert.equal(cache.current(ratings), null);
});

test('B58: renewal starts at half-life and its result is told to subscribers', async () => {
  const { cache, clock, asked, settled } = cacheWith();
  const renewed: Credentials[] = [];
  cache.subscribe((credentials) => renewed.push(credentials));
  const first = await cache.get(ratings);
  clock.advance(HALF_LIFE_MS - 1);
  assert.equal(asked.length, 1);
  clock.advance(1);
  await settled();
  const second = await cache.get(ratings);
  assert.deepEqual([asked.length, renewed], [2, [first, second]]);
  assert.notEqual(second.privateKeyPem, first.privateKeyPem);
});

test('B58: while the authority is down the old certificate serves until it expires, then the refusal is immediate', async () => {
  let down = false;
  const { cache, clock, settled } = cacheWith(() => {
    if (down) throw new Error('connection refused');
  });
  const lapsed: Identity[] = [];
  cache.subscribeLapse((identity) => lapsed.push(identity));
  const first = await cache.get(ratings);
  down = true;
  clock.advance(HALF_LIFE_MS);
  await settled();
  assert.equal(await cache.get(ratings), first);
  assert.equal(cache.snapshot()[0]?.error, 'connection refused');
  while (clock.nowMs() < first.notAfterMs) {
    clock.advance(Math.min(clock.pendingMs()[0] ?? 0, first.notAfterMs - clock.nowMs()) || 1);
    await settled();
  }
  await assert.rejects(cache.get(ratings), { code: 'WEFT_CERTIFICATE', message: /connection refused/ });
  assert.deepEqual(lapsed, [ratings], 'B67: told once, at that moment');
  down = false;
  clock.advance(150_000);
  await settled();
  assert.ok((await cache.get(ratings)).notAfterMs > clock.nowMs());
});

test('a failed first attempt refuses who waits, and is repeated without being asked', async () => {
  let down = true;
  const { cache, clock, asked, settled } = cacheWith(() => {
    if (down) throw new Error('not yet');
  });
  await assert.rejects(cache.get(ratings), { code: 'WEFT_CERTIFICATE' });
  await assert.rejects(cache.get(ratings), { code: 'WEFT_CERTIFICATE' });
  assert.equal(asked.length, 1);
  down = false;
  clock.advance(1_000);
  await settled();
  assert.equal((await cache.get(ratings)).identity, ratings);
});

test('B59: an authority that hangs or fails for one identity does not delay another', async () => {
  let release = () => {};
  const hanging = new Promise<void>((resolve) => {
    release = resolve;
  });
  const { cache, settled } = cacheWith(({ identity: { serviceAccount } }) => {
    if (serviceAccount === 'stuck') return hanging;
    if (serviceAccount === 'refused') throw new Error('no');
  });
  const stuck = cache.get(identity('stuck'));
  await assert.rejects(cache.get(identity('refused')));
  assert.equal((await cache.get(ratings)).identity, ratings);
  release();
  await stuck;
  await settled();
});

test('at most 8 requests run at once, and those that connections wait for go first', async () => {
  const gates: (() => void)[] = [];
  const { cache, asked, peak } = cacheWith(() => new Promise<void>((resolve) => gates.push(resolve)));
  const turn = () => new Promise((resolve) => setImmediate(resolve));
  const first = Array.from({ length: 8 }, (_, at) => cache.get(identity(`first-${at}`)));
  while (gates.length < 8) await turn();
  for (let at = 0; at < 5; at++) cache.warm(identity(`warm-${at}`));
  const urgent = cache.get(ratings);
  gates.shift()?.();
  while (asked.length < 9) await turn();
  assert.equal(asked[8]?.identity, ratings);
  while (cache.snapshot().some(({ renewing }) => renewing)) {
    for (const open of gates.splice(0)) open();
    await turn();
  }
  await Promise.all([...first, urgent]);
  assert.deepEqual([peak(), asked.length], [8, 14]);
});

test('B59: a dropped identity loses its certificate, its timers and its waiters', async () => {
  const { cache, clock, asked } = cacheWith();
  await cache.get(ratings);
  cache.drop(ratings);
  assert.deepEqual([cache.snapshot(), clock.pendingMs()], [[], []]);
  const waiting = cache.get(ratings);
  cache.drop(ratings);
  await assert.rejects(waiting, { code: 'WEFT_CERTIFICATE' });
  await cache.get(ratings);
  assert.ok(asked.length >= 2);
});

test('what a dropped identity was still fetching is thrown away', async () => {
  let release = () => {};
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  const { cache, clock, asked } = cacheWith(({ identity: { serviceAccount } }) =>
    serviceAccount === 'ratings' ? held : undefined,
  );
  const told: string[] = [];
  cache.subscribe(({ identity: { serviceAccount } }) => told.push(serviceAccount));
  cache.warm(ratings);
  while (asked.length === 0) await new Promise((resolve) => setImmediate(resolve));
  cache.close();
  release();
  // A later request of the same length: when it is through, the dropped one has long been answered.
  await cache.get(identity('later'));
  cache.close();
  assert.deepEqual([told, cache.snapshot(), clock.pendingMs()], [['later'], [], []]);
});

test('a snapshot names identity, expiry and the last failure', async () => {
  const { cache } = cacheWith();
  const { notAfterMs } = await cache.get(ratings);
  assert.deepEqual(cache.snapshot(), [
    { identity: 'spiffe://cluster.local/ns/shop/sa/ratings', notAfterMs, renewing: false, error: null },
  ]);
});

test('B58: after the clock was set back, a certificate whose time is yet to come is replaced by one of now', async () => {
  const { cache, clock, asked } = cacheWith();
  clock.set(HOUR_MS);
  const ahead = await cache.get(ratings);
  clock.set(-HOUR_MS);
  assert.equal(cache.current(ratings), null);
  const now = await cache.get(ratings);
  assert.ok(now.notBeforeMs <= clock.nowMs() && ahead.notBeforeMs > clock.nowMs());
  assert.equal(await cache.get(ratings), now);
  assert.equal(asked.length, 2);
});

test('B58: where the clock runs behind that of the authority, its certificates are used, and not asked for again and again', async () => {
  const { cache, clock, asked } = cacheWith(() => {}, HOUR_MS);
  const first = await cache.get(ratings);
  assert.ok(first.notBeforeMs > clock.nowMs());
  assert.equal(await cache.get(ratings), first);
  assert.equal(cache.current(ratings), first);
  assert.equal(asked.length, 1);
});

test('B58: after the clock was set back, the certificate at hand serves while there is no other', async () => {
  let down = false;
  const { cache, clock, settled } = cacheWith(() => {
    if (down) throw new Error('away');
  });
  clock.set(HOUR_MS);
  const ahead = await cache.get(ratings);
  clock.set(-HOUR_MS);
  down = true;
  await assert.rejects(cache.get(ratings), { code: 'WEFT_CERTIFICATE' });
  assert.equal(await cache.get(ratings), ahead);
  down = false;
  clock.advance(HOUR_MS / 10);
  await settled();
  assert.notEqual(await cache.get(ratings), ahead);
});

test('B58: renewal never comes before half-life nor more than a twentieth of the lifetime after it', () => {
  const validity = { notBeforeMs: 0, notAfterMs: 1_000_000 };
  assert.equal(
    renewalDelayMs(validity, 0, () => 0),
    500_000,
  );
  assert.equal(
    renewalDelayMs(validity, 0, () => 0.999_999),
    550_000,
  );
  assert.equal(
    renewalDelayMs(validity, 900_000, () => 0),
    1_000,
  );
});
