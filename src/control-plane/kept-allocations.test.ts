import assert from 'node:assert/strict';
import test from 'node:test';
import { parseIp } from '#model/address/ip.ts';
import { SILENT_LOG } from '#model/effects/log.ts';
import { MemoryStore } from '#model/effects/memory-store.testing.ts';
import { UNSPREAD } from '#model/resilience/retry.ts';
import { CONTROL } from '#model/settings/control-planes.ts';
import { SteppedClock } from '#platform/stepped-clock.testing.ts';
import { KeptAllocations } from './kept-allocations.ts';

const effects = { clock: new SteppedClock(), random: UNSPREAD };
const ADDRESSES = new Map([['shop/ratings', [parseIp('240.240.0.9'), parseIp('2001:2::9')]]]);

test('what was kept is there at the next start; without any there is none', async () => {
  const store = new MemoryStore();
  const before = new KeptAllocations(store, SILENT_LOG, effects);
  assert.deepEqual(await before.load(), {});
  before.keep(ADDRESSES);
  await before.settled();
  assert.deepEqual(await new KeptAllocations(store, SILENT_LOG, effects).load(), {
    'shop/ratings': ['240.240.0.9', '2001:2::9'],
  });
});

for (const text of ['', '{', 'null', '7', '["240.240.0.9"]', '{"shop/ratings":"240.240.0.9"}', '{"shop/ratings":[1]}']) {
  test(`a kept text that is no table of addresses counts as none: ${text || 'nothing'}`, async () => {
    const store = new MemoryStore();
    store.texts.set('allocations.json', text);
    const warnings: string[] = [];
    const log = { ...SILENT_LOG, warn: (_fields: object, message: string) => void warnings.push(message) };
    assert.deepEqual(await new KeptAllocations(store, log, effects).load(), {});
    assert.equal(warnings.length, 1);
  });
}

test('of two states that follow one another at once the last is the one that stays', async () => {
  const store = new MemoryStore();
  const waiting: (() => void)[] = [];
  const write = store.write.bind(store);
  // The first write takes until it is let go; an unordered second one would be overwritten by it.
  store.write = async (name, text, options) => {
    if (waiting.length === 0) await new Promise<void>((resolve) => waiting.push(resolve));
    await write(name, text, options);
  };
  const kept = new KeptAllocations(store, SILENT_LOG, effects);
  kept.keep(ADDRESSES);
  kept.keep(new Map());
  await Promise.resolve();
  for (const release of waiting) release();
  await kept.settled();
  assert.equal(store.texts.get('allocations.json'), '{}');
});

test('a full disk is told until a later state is kept', async () => {
  const store = new MemoryStore();
  const write = store.write.bind(store);
  const kept = new KeptAllocations(store, SILENT_LOG, effects);
  store.write = async () => {
    throw new Error('no space left on device');
  };
  kept.keep(ADDRESSES);
  await kept.settled();
  assert.equal(kept.problem(), 'no space left on device');
  store.write = write;
  kept.keep(ADDRESSES);
  await kept.settled();
  assert.equal(kept.problem(), null);
});

test('K85: what could not be kept is kept when the store is back, although nothing changes; once a later state is, it is not', async () => {
  const store = new MemoryStore();
  const write = store.write.bind(store);
  const clock = new SteppedClock();
  const kept = new KeptAllocations(store, SILENT_LOG, { clock, random: UNSPREAD });
  let isAway = true;
  const written: string[] = [];
  store.write = async (name, text, options) => {
    if (isAway) throw new Error('the API server is not reached');
    written.push(text);
    await write(name, text, options);
  };
  kept.keep(ADDRESSES);
  await kept.settled();
  clock.advance(2 * CONTROL.keepAgainFirstMs);
  await kept.settled();
  assert.equal(kept.problem(), 'the API server is not reached');
  isAway = false;
  clock.advance(2 * CONTROL.keepAgainFirstMs);
  await kept.settled();
  assert.equal(kept.problem(), null);
  assert.deepEqual(written, ['{"shop/ratings":["240.240.0.9","2001:2::9"]}']);
  isAway = true;
  kept.keep(new Map());
  await kept.settled();
  isAway = false;
  kept.keep(ADDRESSES);
  await kept.settled();
  clock.advance(2 * CONTROL.keepAgainFirstMs);
  await kept.settled();
  assert.equal(written.length, 2);
});

test('a store that cannot be read keeps the control plane from starting', async () => {
  const store = new MemoryStore();
  store.read = async () => {
    throw new Error('input/output error');
  };
  await assert.rejects(new KeptAllocations(store, SILENT_LOG, effects).load(), { message: 'input/output error' });
});
