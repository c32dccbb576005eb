import assert from 'node:assert/strict';
import test from 'node:test';
import { parseIp } from '#model/address/ip.ts';
import { SILENT_LOG } from '#model/effects/log.ts';
import { MemoryStore } from '#model/effects/memory-store.testing.ts';
import { KeptAllocations } from './kept-allocations.ts';

const ADDRESSES = new Map([['shop/ratings', [parseIp('240.240.0.9'), parseIp('2001:2::9')]]]);

test('what was kept is there at the next start; without any there is none', async () => {
  const store = new MemoryStore();
  const before = new KeptAllocations(store, SILENT_LOG);
  assert.deepEqual(await before.load(), {});
  before.keep(ADDRESSES);
  await before.settled();
  assert.deepEqual(await new KeptAllocations(store, SILENT_LOG).load(), { 'shop/ratings': ['240.240.0.9', '2001:2::9'] });
});

for (const text of ['', '{', 'null', '7', '["240.240.0.9"]', '{"shop/ratings":"240.240.0.9"}', '{"shop/ratings":[1]}']) {
  test(`a kept text that is no table of addresses counts as none: ${text || 'nothing'}`, async () => {
    const store = new MemoryStore();
    store.texts.set('allocations.json', text);
    const warnings: string[] = [];
    const log = { ...SILENT_LOG, warn: (_fields: object, message: string) => void warnings.push(message) };
    assert.deepEqual(await new KeptAllocations(store, log).load(), {});
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
  const kept = new KeptAllocations(store, SILENT_LOG);
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
  const kept = new KeptAllocations(store, SILENT_LOG);
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

test('a store that cannot be read keeps the control plane from starting', async () => {
  const store = new MemoryStore();
  store.read = async () => {
    throw new Error('input/output error');
  };
  await assert.rejects(new KeptAllocations(store, SILENT_LOG).load(), { message: 'input/output error' });
});
