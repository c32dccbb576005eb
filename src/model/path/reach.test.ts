import assert from 'node:assert/strict';
import test from 'node:test';
import { parseIp } from '#model/address/ip.ts';
import { formatIdentity } from '#model/identity/identity.ts';
import { aService, aWorkload } from '#model/mesh/mesh-fixtures.testing.ts';
import { baggageTextOf } from '#model/telemetry/propagation.ts';
import { openingOf, type ReachedService, reachOf, tunnelTo, tunnelToWaypoint } from './reach.ts';

const cart = aWorkload('cart', ['10.0.1.1', 'fd00:1::1'], { node: 'two' });
const plain = aWorkload('plain', ['10.0.1.2'], { node: 'two', tunnelProtocol: 'none' });
const service = aService('shop-front', ['240.0.0.1']);
const V4 = parseIp('10.0.1.1');
const V6 = parseIp('fd00:1::1');

const reaches = [
  { name: 'another node: a tunnel', workload: cart, isNear: false, want: 'tunnel' },
  { name: 'this node: the kernel connects app to app', workload: cart, isNear: true, want: 'near' },
  { name: 'no HBONE on another node: in plain text', workload: plain, isNear: false, want: 'plain' },
  {
    name: 'no HBONE on this node: in plain text, nothing is evaluated for it here',
    workload: plain,
    isNear: true,
    want: 'plain',
  },
];
for (const { name, workload, isNear, want } of reaches)
  test(`reach: ${name}`, () => assert.equal(reachOf({ workload, ip: V4, port: 8080, service: null }, isNear).kind, want));

const OWN = 'spiffe://cluster.local/ns/shop/sa/cart';
const named = (...subjectAltNames: string[]): ReachedService => ({ hostname: service.hostname, subjectAltNames });
const expectations: { name: string; service: ReachedService | null; want: string[] }[] = [
  { name: 'the workload dialled itself: its identity alone', service: null, want: [OWN] },
  { name: 'a service without names: the same', service: named(), want: [OWN] },
  {
    name: 'a service with names: each of them, too',
    service: named('spiffe://x/ns/y/sa/z'),
    want: [OWN, 'spiffe://x/ns/y/sa/z'],
  },
  { name: 'names that are no SPIFFE URI prove nothing', service: named('dns.name', 'https://x/ns/y/sa/z'), want: [OWN] },
];
for (const { name, service, want } of expectations)
  test(`reach, expected peers: ${name}`, () =>
    assert.deepEqual(tunnelTo({ workload: cart, ip: V4, port: 8080, service }).peers.map(formatIdentity), want));

test('a tunnel to a workload asks for its address and port, at the port of HBONE', () => {
  const { peers: _, ...tunnel } = tunnelTo({ workload: cart, ip: V6, port: 8080, service });
  assert.deepEqual(tunnel, { ip: V6, port: 15_008, authority: '[fd00:1::1]:8080', serviceHost: service.hostname });
});

test('a tunnel to a waypoint asks for what was dialled, at the port the waypoint says, and expects the waypoint alone', () => {
  const instance = { workload: cart, ip: V4, port: 15_108 };
  const dialled = { ip: parseIp('240.0.0.1'), port: 80 };
  assert.deepEqual(tunnelToWaypoint(instance, dialled, named('spiffe://x/ns/y/sa/z')), {
    peers: [{ trustDomain: 'cluster.local', namespace: 'shop', serviceAccount: 'cart' }],
    ip: V4,
    port: 15_108,
    authority: '240.0.0.1:80',
    serviceHost: service.hostname,
  });
});

test('an opening says who calls, for which client, and begins a trace', () => {
  const identity = { trustDomain: 'cluster.local', namespace: 'shop', serviceAccount: 'front' };
  const caller = { identity, baggage: baggageTextOf(aWorkload('front', ['10.0.0.1'])) };
  const client = { ip: parseIp('fd00::7'), port: 40_000 };
  const tunnel = tunnelTo({ workload: cart, ip: V4, port: 8080, service: null });
  assert.deepEqual(
    openingOf(tunnel, caller, client, (count) => new Uint8Array(count).fill(0xab)),
    {
      target: { source: identity, peers: tunnel.peers, address: V4, port: 15_008 },
      request: {
        authority: '10.0.1.1:8080',
        client: '[fd00::7]:40000',
        serviceHost: null,
        baggage: caller.baggage,
        traceparent: `00-${'ab'.repeat(16)}-${'ab'.repeat(8)}-00`,
      },
    },
  );
});
