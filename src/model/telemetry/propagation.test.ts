import assert from 'node:assert/strict';
import { test } from 'node:test';
import { describeTunnelStatus, TUNNEL_STATUS } from '#protocol/hbone/headers.ts';
import { type Baggage, EMPTY_BAGGAGE, formatBaggage, newTraceparent, parseBaggage, parseTraceparent } from './propagation.ts';

const full: Baggage = {
  cluster: 'east',
  namespace: 'shop',
  workloadKind: 'deployment',
  workloadName: 'cart-v1',
  serviceName: 'cart',
  serviceVersion: 'v1',
  region: 'r1',
  zone: 'z1',
};
const text =
  'k8s.cluster.name=east,k8s.namespace.name=shop,k8s.deployment.name=cart-v1,service.name=cart,service.version=v1,' +
  'cloud.region=r1,cloud.availability_zone=z1';

test('baggage is comma-joined without spaces, in the fixed order', () => assert.equal(formatBaggage(full), text));
test('baggage leaves empty values out', () =>
  assert.equal(formatBaggage({ ...EMPTY_BAGGAGE, serviceName: 'cart' }), 'service.name=cart'));
test('a value cannot break the form', () =>
  assert.equal(
    formatBaggage({ ...EMPTY_BAGGAGE, zone: 'a,service.name=evil\r\n b' }),
    'cloud.availability_zone=aservice.name=evilb',
  ));
test('baggage reads back', () => assert.deepEqual(parseBaggage(text), full));
test('every kind of owner is read', () => assert.equal(parseBaggage('k8s.cronjob.name=nightly').workloadKind, 'cronjob'));
test('unknown keys and junk are ignored', () => assert.deepEqual(parseBaggage('x=y,,=,service.name'), EMPTY_BAGGAGE));

test('B13: a traceparent is 00-<32 hex>-<16 hex>-00 from the injected bytes', () => {
  const made = newTraceparent((count) => Uint8Array.from({ length: count }, (_, at) => at + 1));
  assert.equal(made, '00-0102030405060708090a0b0c0d0e0f10-1112131415161718-00');
  assert.deepEqual(parseTraceparent(made), { traceId: '0102030405060708090a0b0c0d0e0f10', spanId: '1112131415161718' });
});
const malformed = ['', 'x'.repeat(55), `00-${'0'.repeat(32)}-${'1'.repeat(16)}-00`, `00-${'1'.repeat(32)}-${'0'.repeat(16)}-00`];
for (const bad of malformed) test(`a malformed traceparent is null: "${bad}"`, () => assert.equal(parseTraceparent(bad), null));

test('every status we send has a meaning', () => {
  for (const status of Object.values(TUNNEL_STATUS)) assert.doesNotMatch(describeTunnelStatus(status), /http status/);
  assert.equal(describeTunnelStatus(418), 'http status 418');
});
