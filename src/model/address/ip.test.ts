import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  bytesToIp,
  cidrContains,
  formatAddress,
  ipToBytes,
  ipToBytes16,
  parseIp,
  readMappedIp,
  splitHostPort,
  tryParseCidr,
  tryParseIp,
} from './ip.ts';

const canonical = [
  { text: '10.0.0.1', want: '10.0.0.1' },
  { text: '::ffff:10.0.0.1', want: '10.0.0.1' },
  { text: '2001:DB8:0::1', want: '2001:db8::1' },
  { text: '010.0.0.1', want: null },
  { text: 'fe80::1%eth0', want: null },
  { text: '10.0.0', want: null },
  { text: '', want: null },
];
for (const { text, want } of canonical) test(`"${text}" is ${want ?? 'no address'}`, () => assert.equal(tryParseIp(text), want));

test('an address survives both binary forms', () => {
  fc.assert(
    fc.property(fc.oneof(fc.ipV4(), fc.ipV6()), (text) => {
      const ip = parseIp(text);
      assert.equal(bytesToIp(ipToBytes(ip)), ip);
      assert.equal(bytesToIp(ipToBytes16(ip)), ip);
      assert.equal(ipToBytes16(ip).length, 16);
    }),
  );
});

test('E26: IPv4 is v4-mapped in 16 bytes', () => {
  assert.equal(ipToBytes16(parseIp('1.2.3.4')).toString('hex'), '00000000000000000000ffff01020304');
});

const ranges = [
  { cidr: '10.0.0.0/8', ip: '10.255.0.1', want: true },
  { cidr: '10.0.0.0/9', ip: '10.128.0.1', want: false },
  { cidr: '0.0.0.0/0', ip: '1.1.1.1', want: true },
  { cidr: '0.0.0.0/0', ip: '::1', want: false },
  { cidr: '2001:db8::/33', ip: '2001:db8:7fff::1', want: true },
  { cidr: '2001:db8::/33', ip: '2001:db8:8000::1', want: false },
  { cidr: '10.0.0.7', ip: '10.0.0.7', want: true },
];
for (const { cidr, ip, want } of ranges) {
  test(`${ip} is ${want ? '' : 'not '}in ${cidr}`, () => {
    const parsed = tryParseCidr(cidr);
    assert.ok(parsed);
    assert.equal(cidrContains(parsed, parseIp(ip)), want);
  });
}
for (const bad of ['10.0.0.0/33', '10.0.0.0/', '10.0.0.0/-1', 'x/8', '::/129'])
  test(`"${bad}" is no range`, () => assert.equal(tryParseCidr(bad), null));

test('host and port split and join', () => {
  assert.deepEqual(splitHostPort('[::1]:80'), { host: '::1', port: 80 });
  assert.deepEqual(splitHostPort('cart.shop:443'), { host: 'cart.shop', port: 443 });
  for (const bad of ['::1:80', 'cart', 'cart:0', 'cart:65536', ':80', 'cart:8a']) assert.equal(splitHostPort(bad), null, bad);
  assert.equal(formatAddress(parseIp('::1'), 80), '[::1]:80');
});

test('an address means the same however often, and after however many others, it was asked for', () => {
  const v4 = parseIp('10.0.0.1');
  const first = Buffer.from(ipToBytes16(v4));
  const v6 = parseIp('2001:db8::a00:1');
  const round = (): void => {
    assert.equal(tryParseIp('10.0.0.1'), '10.0.0.1');
    assert.equal(tryParseIp('::ffff:10.0.0.1'), '10.0.0.1');
    assert.equal(tryParseIp('2001:DB8::A00:1'), v6);
    assert.deepEqual(ipToBytes16(v4), first);
    assert.equal(bytesToIp(Uint8Array.of(10, 0, 0, 1)), v4);
    assert.equal(bytesToIp(ipToBytes16(v4)), v4, 'four bytes and sixteen are not mixed up');
    assert.equal(bytesToIp(ipToBytes16(v6)), v6);
    for (const text of ['10.0.0', '010.0.0.1', '']) assert.equal(tryParseIp(text), null);
  };
  round();
  round();
  for (let n = 0; n < 10_000; n++) {
    const bytes = Uint8Array.of(172, 16, n >> 8, n & 255);
    const ip = bytesToIp(bytes);
    assert.equal(ip, `172.16.${n >> 8}.${n & 255}`);
    assert.equal(parseIp(ip), ip);
    assert.deepEqual([...ipToBytes16(ip).subarray(12)], [...bytes]);
  }
  round();
});

test('what is asked for again is not worked out again', () => {
  const ip = parseIp('192.0.2.77');
  assert.equal(ipToBytes16(ip), ipToBytes16(ip));
});

test('an address in the middle of a map is read where it lies, and one of zeros is none, also where :: is known', () => {
  const bytes = Buffer.alloc(40);
  ipToBytes16(parseIp('10.1.2.3')).copy(bytes, 4);
  ipToBytes16(parseIp('fd00::5')).copy(bytes, 22);
  assert.equal(bytesToIp(Buffer.alloc(16)), '::');
  assert.deepEqual(
    [readMappedIp(bytes, 4), readMappedIp(bytes, 22), readMappedIp(Buffer.alloc(20), 2)],
    ['10.1.2.3', 'fd00::5', null],
  );
  // Bits anywhere make an address: of the 16 bytes none is left out.
  for (let at = 0; at < 16; at++) {
    const one = Buffer.alloc(16);
    one[at] = 1;
    assert.equal(readMappedIp(one, 0), bytesToIp(one));
  }
});
