import assert from 'node:assert/strict';
import test from 'node:test';
import { type Answer, encode } from 'dns-packet';
import { DNS } from '#model/settings/dns.ts';
import { answeredAddresses } from './answered-addresses.ts';

function reply(...answers: Answer[]): Buffer {
  return encode({ type: 'response', id: 1, questions: [{ type: 'A', name: 'db.example.com' }], answers });
}
const a = (name: string, data: string, ttl = 60): Answer => ({ type: 'A', name, data, ttl });
const alias = (name: string, data: string): Answer => ({ type: 'CNAME', name, data, ttl: 60 });
const addresses = (bytes: Buffer, name = 'db.example.com') =>
  answeredAddresses(bytes, name).map(({ ip, ttlMs }) => `${ip} ${ttlMs}`);

test('B70: the addresses of the name that was asked for, in any case, of both families', () => {
  const v6: Answer = { type: 'AAAA', name: 'DB.example.com', data: '2001:db8::1', ttl: 5 };
  assert.deepEqual(addresses(reply(a('db.EXAMPLE.com', '9.9.9.9'), v6)), ['9.9.9.9 60000', '2001:db8::1 5000']);
});

test('B70: those of its aliases, in any order; a record of another name opens nothing', () => {
  const chain = [a('c.cdn.net', '9.9.9.1'), alias('b.cdn.net', 'c.cdn.net'), alias('db.example.com', 'b.cdn.net')];
  assert.deepEqual(addresses(reply(...chain, a('evil.org', '10.0.0.1'), alias('evil.org', 'db.example.com'))), ['9.9.9.1 60000']);
  assert.deepEqual(addresses(reply(alias('db.example.com', 'x.org'), alias('x.org', 'db.example.com'))), [], 'a circle');
});

test('B70: at most so many, and none of what cannot be read', () => {
  const many = Array.from({ length: DNS.endpointAddressesMax + 9 }, (_, at) => a('db.example.com', `9.9.1.${at}`));
  assert.equal(addresses(reply(...many)).length, DNS.endpointAddressesMax);
  for (const broken of [Buffer.alloc(0), reply(a('db.example.com', '9.9.9.9')).subarray(0, 45), Buffer.alloc(40, 0xff)])
    assert.deepEqual(addresses(broken), []);
});
