import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { parseIp } from '#model/address/ip.ts';
import { WeftError } from '#model/error.ts';
import { addressesOf, freeHost, GATEWAY_HOST, hostOf, parsePool } from './address-pool.ts';

test('host n has base + n in both families, whatever address of the network was written', () => {
  const pool = parsePool('10.41.1.77/24', 'fd41:1::1234/64');
  assert.deepEqual(addressesOf(pool, GATEWAY_HOST), ['10.41.1.1', 'fd41:1::1']);
  assert.deepEqual(addressesOf(pool, 254), ['10.41.1.254', 'fd41:1::fe']);
  assert.equal(pool.hostsMax, 254);
});

test('without an IPv6 pool there are IPv4 addresses only', () => {
  assert.deepEqual(addressesOf(parsePool('10.41.0.0/16', null), 258), ['10.41.1.2']);
});

test('an address leads back to its host; one of another network to none', () => {
  const pool = parsePool('10.41.0.0/16', null);
  const host = fc.integer({ min: 1, max: pool.hostsMax });
  fc.assert(fc.property(host, (number) => assert.equal(hostOf(pool, addressesOf(pool, number)[0] ?? parseIp('::')), number)));
  assert.equal(hostOf(pool, parseIp('10.42.0.1')), null);
});

const searches = [
  { name: 'the gateway is never handed out', used: [], next: 0, want: 2 },
  { name: 'nor the broadcast address', used: [2, 3, 4, 5], next: 7, want: 6 },
  { name: 'the search goes on from the last one', used: [2], next: 4, want: 4 },
  { name: 'and around', used: [5, 6], next: 5, want: 2 },
];
for (const { name, used, next, want } of searches) {
  test(`a free host: ${name}`, () => assert.equal(freeHost(parsePool('10.0.0.0/29', null), new Set(used), next), want));
}

test('an exhausted pool says which, and what to do', () => {
  const full = () => freeHost(parsePool('10.0.0.0/29', null), new Set([2, 3, 4, 5, 6]), 0);
  assert.throws(
    full,
    (error) => error instanceof WeftError && error.code === 'WEFT_SANDBOX_POOL' && /all 5 addresses/.test(error.message),
  );
});

for (const [pool4, pool6] of [
  ['10.0.0.1', null],
  ['10.0.0.0/30', null],
  ['fd00::/64', null],
  ['10.0.0.0/24', 'fd00::/120'],
  ['10.0.0.0/24', '10.0.0.0/8'],
  ['x/24', null],
] as const) {
  test(`no pool: ${pool4} ${pool6}`, () => {
    assert.throws(
      () => parsePool(pool4, pool6),
      (error) => error instanceof WeftError && error.remedy !== undefined,
    );
  });
}
