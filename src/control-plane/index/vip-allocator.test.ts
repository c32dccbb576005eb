import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { cidrContains, familyOf, parseIp, tryParseCidr } from '#model/address/ip.ts';
import { reserve, VipAllocator } from './vip-allocator.ts';

const V4 = tryParseCidr('240.240.0.0/16');
const V6 = tryParseCidr('2001:2::/48');

test('C33: one address per family, from the ranges, and the same on every call', () => {
  const allocator = new VipAllocator();
  const addresses = allocator.allocate('shop/a', [4, 6]);
  assert.deepEqual(addresses.map(familyOf), [4, 6]);
  assert.ok(addresses.every((ip) => [V4, V6].some((range) => range !== null && cidrContains(range, ip))));
  assert.deepEqual(allocator.allocate('shop/a', [4, 6]), addresses);
});

test('C33: another allocator, without anything kept, gives the same addresses', () => {
  assert.deepEqual(new VipAllocator().allocate('shop/a', [4, 6]), new VipAllocator().allocate('shop/a', [4, 6]));
});

test('C33: what was kept across a restart counts', () => {
  const kept = { 'shop/a': ['240.240.1.2', '2001:2::7'] };
  assert.deepEqual(new VipAllocator(kept).allocate('shop/a', [4, 6]), ['240.240.1.2', '2001:2::7']);
});

test('nothing is taken from a damaged record', () => {
  const kept = { a: ['10.0.0.1', 'x', '240.240.1.2'], b: ['240.240.1.2'] };
  const allocator = new VipAllocator(kept);
  assert.deepEqual(allocator.allocate('a', [4]), ['240.240.1.2']);
  assert.notDeepEqual(allocator.allocate('b', [4]), ['240.240.1.2']);
});

test('a change is told once, whole, and only when there was one', () => {
  const allocator = new VipAllocator();
  assert.equal(allocator.takeChange(), null);
  const addresses = allocator.allocate('a', [4]);
  assert.deepEqual(allocator.takeChange(), new Map([['a', addresses]]));
  allocator.allocate('a', [4]);
  assert.equal(allocator.takeChange(), null);
  allocator.release('a');
  assert.deepEqual(allocator.takeChange(), new Map());
});

test('C33: an address that a user gave is never handed out, and displaces who had it', () => {
  const allocator = new VipAllocator();
  const [first = parseIp('0.0.0.0')] = allocator.allocate('a', [4]);
  const reserved = new Set([first]);
  const [second] = allocator.allocate('a', [4], (ip) => reserved.has(ip));
  assert.notEqual(second, first);
  reserved.clear();
  assert.deepEqual(allocator.allocate('a', [4]), [second], 'what it has now stays');
  assert.deepEqual(new VipAllocator().allocate('a', [4]), [first]);
});

test('only addresses that could be handed out are reserved', () => {
  const [first = parseIp('0.0.0.0')] = new VipAllocator().allocate('a', [4]);
  assert.deepEqual(
    reserve([first, parseIp('10.0.0.1'), parseIp('2001:2::7')]).map(({ key }) => key),
    [first, '2001:2::7'],
  );
});

test('what is kept for services that are gone is freed', () => {
  const allocator = new VipAllocator({ a: ['240.240.1.2'], b: ['240.240.1.3'] });
  allocator.releaseAllBut(new Set(['b']));
  assert.deepEqual(allocator.takeChange(), new Map([['b', ['240.240.1.3']]]));
});

test('addresses never collide, whoever asks in whatever order', () => {
  const operation = fc.tuple(fc.constantFrom('allocate', 'release', 'reserve'), fc.nat({ max: 300 }));
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 80 }), (operations) => {
      const allocator = new VipAllocator();
      const held = new Map<string, readonly string[]>();
      const reserved = new Set<string>();
      const allocate = (key: string) =>
        held.set(
          key,
          allocator.allocate(key, [4, 6], (ip) => reserved.has(ip)),
        );
      for (const [kind, number] of operations) {
        const key = `shop/${number}`;
        if (kind === 'release') allocator.release(key);
        if (kind === 'release') held.delete(key);
        if (kind === 'allocate') allocate(key);
        const [guess = parseIp('0.0.0.0')] = kind === 'reserve' ? new VipAllocator().allocate(key, [4]) : [];
        if (kind !== 'reserve') continue;
        reserved.add(guess);
        for (const [owner, addresses] of held) if (addresses.includes(guess)) allocate(owner);
      }
      const all = [...held.values()].flat();
      assert.equal(new Set(all).size, all.length);
      assert.ok(!all.some((ip) => reserved.has(ip)));
    }),
  );
});

test('a full range gives no address instead of one twice', () => {
  const kept = Object.fromEntries(
    Array.from({ length: 65_534 }, (_, at) => [`s${at}`, [`240.240.${(at + 1) >> 8}.${(at + 1) & 255}`]]),
  );
  const allocator = new VipAllocator(kept);
  assert.deepEqual(allocator.allocate('late', [4]), []);
  assert.equal(allocator.allocate('late', [4, 6]).length, 1);
  allocator.release('s0');
  assert.deepEqual(allocator.allocate('late', [4]), ['240.240.0.1']);
});

test('C71: what another replica gave counts, and who had it here gives way', () => {
  const allocator = new VipAllocator();
  const [ofA] = allocator.allocate('shop/a', [4]);
  const before = allocator.allocate('shop/b', [4]);
  assert.deepEqual([...allocator.adopt({ 'shop/b': before })], [], 'what is the same changes nothing');
  assert.deepEqual([...allocator.adopt({ 'shop/c': [ofA ?? ''] })].sort(), ['shop/a', 'shop/c']);
  assert.deepEqual(allocator.allocate('shop/c', [4]), [ofA]);
  assert.notDeepEqual(allocator.allocate('shop/a', [4]), [ofA]);
  assert.deepEqual(allocator.allocate('shop/b', [4]), before);
});
