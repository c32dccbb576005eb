import assert from 'node:assert/strict';
import test from 'node:test';
import type { RegisteredWorkload } from '#model/mesh/registration.ts';
import type { NodeGrant } from '#model/trust/grant.ts';
import { type AdmissionWorld, admit } from './admission.ts';

const grant: NodeGrant = { identities: ['shop/*'], addresses: ['10.1.0.0/16', 'fd00::/64'], waypoints: false };
const web: RegisteredWorkload = {
  node: 'node-1',
  name: 'web',
  namespace: 'shop',
  serviceAccount: 'web',
  addresses: ['10.1.0.5', 'fd00::5'],
  labels: {},
  enrolled: true,
  nativeTunnel: false,
};
const world: AdmissionWorld = {
  reserved: { rootNamespace: 'mesh', isWaypoint: ({ serviceAccount }) => serviceAccount === 'way' },
  waypointLabel: 'gateway',
  serviceAt: (ip) => (ip === '10.1.9.1' || ip.startsWith('240.240.') ? 'service shop/ratings' : null),
  nodeAt: (ip) => (ip === '10.1.0.1' ? 'node-2' : null),
  configuredAt: (ip) => (ip === '10.1.7.7' ? 'uid/pod' : null),
};
const nobody = { byName: () => null, byAddress: () => null };

function causes(workloads: RegisteredWorkload[], more: { before?: RegisteredWorkload[]; grant?: NodeGrant } = {}): string[] {
  const { refused } = admit(workloads, more.grant ?? grant, world, { before: more.before ?? [], holders: nobody });
  return refused.map(({ workload, cause }) => `${workload.name} ${cause}`);
}

const judged: { what: string; change: Partial<RegisteredWorkload>; cause: string | null; with?: Partial<NodeGrant> }[] = [
  { what: 'what the token names', change: {}, cause: null },
  { what: 'another namespace', change: { namespace: 'bank' }, cause: 'identity-not-granted' },
  { what: 'the account of a waypoint', change: { serviceAccount: 'way' }, cause: 'identity-not-granted' },
  { what: 'an instance of a waypoint by its label', change: { labels: { gateway: 'way' } }, cause: 'waypoint-not-granted' },
  { what: 'one that speaks HBONE itself', change: { nativeTunnel: true }, cause: 'waypoint-not-granted' },
  {
    what: 'a waypoint of a node that is for them',
    change: { nativeTunnel: true, serviceAccount: 'way', labels: { gateway: 'way' } },
    cause: null,
    with: { waypoints: true },
  },
  {
    what: 'anything, where nodes run pods alone',
    change: { addresses: [] },
    cause: 'identity-not-granted',
    with: { podsOnly: true },
  },
  { what: 'an address outside', change: { addresses: ['10.2.0.5'] }, cause: 'address-not-granted' },
  { what: 'a second address outside', change: { addresses: ['10.1.0.5', 'fd01::5'] }, cause: 'address-not-granted' },
  { what: 'a loopback address', change: { addresses: ['127.0.0.9'] }, cause: 'address-reserved' },
  { what: 'the IPv6 loopback address', change: { addresses: ['::1'] }, cause: 'address-reserved' },
  { what: 'the unspecified address', change: { addresses: ['0.0.0.0'] }, cause: 'address-reserved' },
  { what: 'the unspecified IPv6 address', change: { addresses: ['::'] }, cause: 'address-reserved' },
  { what: 'a link-local address', change: { addresses: ['169.254.1.1'] }, cause: 'address-reserved' },
  { what: 'a link-local IPv6 address', change: { addresses: ['fe80::1'] }, cause: 'address-reserved' },
  { what: 'a multicast address', change: { addresses: ['224.0.0.1'] }, cause: 'address-reserved' },
  { what: 'an IPv6 multicast address', change: { addresses: ['ff02::1'] }, cause: 'address-reserved' },
  { what: 'the broadcast address', change: { addresses: ['255.255.255.255'] }, cause: 'address-reserved' },
  { what: 'a mapped loopback address', change: { addresses: ['::ffff:127.0.0.1'] }, cause: 'address-reserved' },
  { what: 'the address of a service', change: { addresses: ['10.1.9.1'] }, cause: 'address-of-service' },
  { what: 'one that a service may be given', change: { addresses: ['240.240.3.4'] }, cause: 'address-of-service' },
  { what: 'the address of a node', change: { addresses: ['10.1.0.1'] }, cause: 'address-of-node' },
  { what: 'the address of a pod', change: { addresses: ['10.1.7.7'] }, cause: 'address-held' },
];
for (const { what, change, cause, with: more = {} } of judged) {
  test(`${what} is ${cause === null ? 'admitted' : 'refused'}`, () => {
    const wide = { ...grant, addresses: ['0.0.0.0/0', '::/0'] };
    const base = cause === null || cause === 'address-not-granted' ? grant : wide;
    assert.deepEqual(causes([{ ...web, ...change }], { grant: { ...base, ...more } }), cause === null ? [] : [`web ${cause}`]);
  });
}

test('of two workloads of a node with one address the first keeps it, whichever is listed first if it had it before', () => {
  const twin = { ...web, name: 'twin' };
  assert.deepEqual(causes([web, twin]), ['twin address-held']);
  assert.deepEqual(causes([twin, web], { before: [web] }), ['twin address-held']);
  assert.deepEqual(causes([twin], { before: [web] }), []);
  assert.deepEqual(causes([twin, { ...web, addresses: ['10.1.0.6'] }], { before: [web] }), []);
});

test('what another node that lives has is not taken over', () => {
  const holders = {
    byName: (name: string) => (name === 'shop/web' ? 'node-2' : null),
    byAddress: (ip: string) => (ip === 'fd00::5' ? { node: 'node-2', workload: 'shop/other' } : null),
  };
  const { refused } = admit([web, { ...web, name: 'db' }], grant, world, { before: [], holders });
  assert.deepEqual(
    refused.map(({ cause }) => cause),
    ['name-held', 'address-held'],
  );
});
