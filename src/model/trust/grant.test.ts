import assert from 'node:assert/strict';
import test from 'node:test';
import { parseIp } from '#model/address/ip.ts';
import { accountRefusal, addressRefusal, isIdentityPattern, NO_GRANT, type NodeGrant, tryParseGrant } from './grant.ts';

const reserved = {
  rootNamespace: 'istio-system',
  isWaypoint: ({ namespace, serviceAccount }: { namespace: string; serviceAccount: string }) =>
    `${namespace}/${serviceAccount}` === 'shop/waypoint',
};

const accounts: { pattern: string; account: string; may: boolean }[] = [
  { pattern: 'shop/web', account: 'shop/web', may: true },
  { pattern: 'shop/web', account: 'shop/web2', may: false },
  { pattern: 'shop/web', account: 'shop/we', may: false },
  { pattern: 'shop/web', account: 'shopx/web', may: false },
  { pattern: 'shop/*', account: 'shop/anything', may: true },
  { pattern: 'shop/*', account: 'bank/anything', may: false },
  { pattern: '*/web', account: 'bank/web', may: true },
  { pattern: 'team-*/web-*', account: 'team-a/web-1', may: true },
  { pattern: 'team-*/web-*', account: 'team-a/web', may: false },
  { pattern: 'a*a/x', account: 'a/x', may: false },
  { pattern: 'a*b*c/x', account: 'a-b-bc/x', may: true },
  { pattern: 'a*b*c/x', account: 'a-c-b/x', may: false },
  { pattern: '*a*/x', account: 'bcd/x', may: false },
  { pattern: 'shop/w.b', account: 'shop/web', may: false },
  { pattern: '*/*', account: 'any/thing', may: true },
  // What is the mesh's own.
  { pattern: '*/*', account: 'istio-system/istiod', may: false },
  { pattern: 'istio-system/istiod', account: 'istio-system/istiod', may: false },
  { pattern: 'istio-system/*', account: 'istio-system/weft-agent', may: false },
  { pattern: '*/*', account: 'istio-system/dashboard', may: false },
  { pattern: 'istio-*/*', account: 'istio-system/dashboard', may: false },
  { pattern: 'istio-system/*', account: 'istio-system/dashboard', may: true },
  { pattern: '*/*', account: 'other/istiod', may: true },
  { pattern: '*/*', account: 'shop/waypoint', may: false },
  { pattern: 'shop/*', account: 'shop/waypoint', may: false },
  { pattern: 'shop/waypoint', account: 'shop/waypoint', may: true },
];
for (const { pattern, account, may } of accounts) {
  test(`${pattern} ${may ? 'covers' : 'does not cover'} ${account}`, () => {
    const [namespace = '', serviceAccount = ''] = account.split('/');
    const grant = { ...NO_GRANT, identities: [pattern] };
    assert.equal(accountRefusal(grant, { namespace, serviceAccount }, reserved) === null, may);
  });
}

test('a token for waypoints is for their identities, and for no other by that', () => {
  const grant: NodeGrant = { ...NO_GRANT, waypoints: true };
  assert.equal(accountRefusal(grant, { namespace: 'shop', serviceAccount: 'waypoint' }, reserved), null);
  assert.match(accountRefusal(grant, { namespace: 'shop', serviceAccount: 'web' }, reserved) ?? '', /shop\/web, only for none/);
});

const addresses: { ranges: string[]; ip: string; may: boolean }[] = [
  { ranges: ['10.41.0.0/24'], ip: '10.41.0.9', may: true },
  { ranges: ['10.41.0.0/24'], ip: '10.41.1.9', may: false },
  { ranges: ['10.41.0.0/24'], ip: '::ffff:10.41.0.9', may: true },
  { ranges: ['10.41.0.7'], ip: '10.41.0.7', may: true },
  { ranges: ['10.41.0.7'], ip: '10.41.0.8', may: false },
  { ranges: ['fd41:0:0:1::/64', '10.41.0.0/24'], ip: 'fd41:0:0:1::9', may: true },
  { ranges: ['fd41:0:0:1::/64'], ip: 'fd41:0:0:2::9', may: false },
  { ranges: ['0.0.0.0/0'], ip: 'fd41::1', may: false },
  { ranges: [], ip: '10.0.0.1', may: false },
];
for (const { ranges, ip, may } of addresses) {
  test(`a token for ${ranges.join(', ') || 'no range'} is ${may ? '' : 'not '}for ${ip}`, () => {
    assert.equal(addressRefusal({ ...NO_GRANT, addresses: ranges }, parseIp(ip)) === null, may);
  });
}

test('what is no grant grants nothing', () => {
  const grant = { identities: ['shop/*'], addresses: ['10.0.0.0/8'], waypoints: false };
  assert.deepEqual(tryParseGrant(grant), grant);
  assert.equal(tryParseGrant({ ...grant, waypoints: 'yes' })?.waypoints, false);
  for (const broken of [
    undefined,
    null,
    'shop/*',
    {},
    { ...grant, identities: 'shop/*' },
    { ...grant, identities: ['shop'] },
    { ...grant, identities: ['shop/web/x'] },
    { ...grant, addresses: ['10.0.0.0/40'] },
    { ...grant, addresses: [7] },
    { identities: ['shop/*'] },
  ]) {
    assert.equal(tryParseGrant(broken), null, JSON.stringify(broken));
  }
});

test('patterns have two segments of the characters of identities', () => {
  for (const text of ['a/b', '*/*', 'team-*/x.y_z']) assert.ok(isIdentityPattern(text), text);
  for (const text of ['', 'a', 'a/', '/b', 'a/b/c', 'a/b c', 'spiffe://x/ns/a/sa/b', 'ä/b'])
    assert.ok(!isIdentityPattern(text), text);
});
