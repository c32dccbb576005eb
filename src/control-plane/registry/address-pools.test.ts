import assert from 'node:assert/strict';
import test from 'node:test';
import { MemoryStore } from '#model/effects/memory-store.testing.ts';
import { rangesOverlap } from '#model/instance/holding.ts';
import { AddressPools } from './address-pools.ts';

test('H6: each node has ranges of its own, the same over restarts and new tokens', async () => {
  const store = new MemoryStore();
  const pools = await AddressPools.open(store);
  const first = await pools.assign('node-1', []);
  assert.deepEqual(first, ['10.41.1.0/24', 'fd41:0:0:2::/64']);
  assert.deepEqual(await pools.assign('node-2', []), ['10.41.2.0/24', 'fd41:0:0:3::/64']);
  const next = await AddressPools.open(store);
  assert.deepEqual(await next.assign('node-1', []), first);
  assert.deepEqual(await next.assign('node-3', []), ['10.41.3.0/24', 'fd41:0:0:4::/64']);
});

test('H6: what another node has is refused with its name, and nothing is given', async () => {
  const store = new MemoryStore();
  const pools = await AddressPools.open(store);
  await pools.assign('node-1', ['10.9.0.0/16', 'fd09::/32']);
  for (const asked of [['10.9.0.0/16'], ['10.9.7.0/24'], ['10.0.0.0/8'], ['10.8.0.0/16', 'fd09:0:1::/48']])
    await assert.rejects(pools.assign('node-2', asked), { code: 'WEFT_POOL_TAKEN', message: /of node node-1$/ });
  assert.deepEqual(Object.keys(JSON.parse(store.texts.get('address-pools.json') ?? '')), ['node-1']);
  assert.deepEqual(await pools.assign('node-1', ['10.9.0.0/24', 'fd09::/48']), ['10.9.0.0/24', 'fd09::/48']); // its own
});

test('H6: nodes that ask at once are given different ranges, and none is forgotten', async () => {
  const store = new MemoryStore();
  const pools = await AddressPools.open(store);
  const nodes = ['node-1', 'node-2', 'node-3'];
  const given = await Promise.all(nodes.map((node) => pools.assign(node, [])));
  assert.equal(new Set(given.flat()).size, 6);
  const again = await AddressPools.open(store);
  assert.deepEqual(await Promise.all(nodes.map((node) => again.assign(node, []))), given);
});

const BY_HAND = ['10.41.0.0/28', 'fd41:0:0:80::/60'];

test('H6: no two of 255 nodes overlap, the next is refused, and one that is gone makes room', async () => {
  const pools = await AddressPools.open(new MemoryStore());
  await pools.assign('by-hand', BY_HAND);
  const given: string[] = [];
  let full = false;
  for (let at = 0; at < 300 && !full; at++) {
    const ranges = await pools.assign(`node-${at}`, []).catch((error: { code: string }) => {
      full = error.code === 'WEFT_POOLS_FULL';
      return [];
    });
    // Those of nodes are networks of one size, so two of them are one or have nothing in common.
    for (const range of ranges)
      assert.equal(
        BY_HAND.some((other) => rangesOverlap(range, other)),
        false,
        range,
      );
    given.push(...ranges);
  }
  assert.equal(new Set(given).size, given.length);
  assert.ok(given.length > 2 * 230);
  assert.equal(full, true);
  await pools.free('node-7');
  assert.deepEqual(await pools.assign('late', []), ['10.41.8.0/24', 'fd41:0:0:9::/64']);
});

test('H6: what cannot be read is not taken for nothing', async () => {
  const store = new MemoryStore();
  store.texts.set('address-pools.json', '{"node-1": "10.');
  await assert.rejects(AddressPools.open(store), { code: 'WEFT_POOLS' });
});
