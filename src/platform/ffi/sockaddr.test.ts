import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseIp } from '#model/address/ip.ts';
import { decodeSockaddr, encodeSockaddr, sockaddrOnce } from '#platform/ffi/sockaddr.ts';

test('an IPv4 address has the layout of sockaddr_in', () => {
  assert.equal(encodeSockaddr(parseIp('1.2.3.4'), 80).toString('hex'), '02000050010203040000000000000000');
});
test('IPv4 on an IPv6 socket is v4-mapped', () => {
  const bytes = encodeSockaddr(parseIp('1.2.3.4'), 80, 6);
  assert.equal(bytes.length, 28);
  assert.deepEqual(decodeSockaddr(bytes), { ip: '1.2.3.4', port: 80 });
});
test('decoding undoes encoding', () => {
  for (const ip of ['10.0.0.1', 'fd00::1'])
    assert.deepEqual(decodeSockaddr(encodeSockaddr(parseIp(ip), 65_535)), { ip, port: 65_535 });
});
test('one for a single call has nothing of those before it', () => {
  for (const [at, ip] of ['fe80::1', 'fd00::1', '255.255.255.255', '10.0.0.1', 'fd00::1'].entries())
    assert.deepEqual(sockaddrOnce(parseIp(ip), 1 + at), encodeSockaddr(parseIp(ip), 1 + at));
});
