import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MAPS, nameInC } from './maps.ts';

test('a struct survives encoding and decoding, padding stays zero', () => {
  const { key } = MAPS.captured;
  const flow = { netnsCookie: 7n, source: null, destination: null, sourcePort: 1, destinationPort: 65535 };
  const bytes = key.encode(flow);
  assert.equal(bytes.length, 48);
  assert.equal(bytes.readUInt32LE(44), 0);
  assert.deepEqual(key.decode(bytes), flow);
});

test('a map is pinned under its C name', () => {
  assert.deepEqual([nameInC('config'), nameInC('ownSockets')], ['config', 'own_sockets']);
});
