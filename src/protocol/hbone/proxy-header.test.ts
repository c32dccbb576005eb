import assert from 'node:assert/strict';
import test from 'node:test';
import { parseIp } from '#model/address/ip.ts';
import { proxyHeader } from './proxy-header.ts';

const end = (ip: string, port: number) => ({ ip: parseIp(ip), port });
const SIGNATURE = '0d0a0d0a000d0a515549540a';
const hex = (text: string): string => Buffer.from(text).toString('hex');

test('B66: the header of the PROXY protocol, byte for byte', () => {
  const told = 'spiffe://cluster.local/ns/shop/sa/a';
  assert.equal(told.length, 35);
  assert.equal(
    proxyHeader(end('10.0.0.1', 4660), end('240.240.0.9', 80), told).toString('hex'),
    `${SIGNATURE}21110032${'0a000001'}${'f0f00009'}${'1234'}${'0050'}d00023${hex(told)}`,
  );
});

test('B66: of IPv6, and of both families as IPv6', () => {
  const header = proxyHeader(end('fd00::1', 1), end('2001:2::9', 80), 'x').toString('hex');
  assert.equal(
    header,
    `${SIGNATURE}21210028fd000000000000000000000000000001200100020000000000000000000000090001${'0050'}d0000178`,
  );
  const mixed = proxyHeader(end('10.0.0.1', 1), end('2001:2::9', 80), 'x').toString('hex');
  assert.equal(mixed.slice(0, 64), `${SIGNATURE}2121002800000000000000000000ffff0a000001`);
});
