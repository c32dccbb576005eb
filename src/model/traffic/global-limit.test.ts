import assert from 'node:assert/strict';
import test from 'node:test';
import { parseIdentity } from '#model/identity/identity.ts';
import { WAYPOINT } from '#model/settings/waypoints.ts';
import type { CountingRule, RateLimitKey } from '#model/waypoint/traffic.ts';
import { type DescriptorStatus, descriptorOf, isUncounted, judgeAnswer } from './global-limit.ts';
import { compileRateLimit, type KeyedRequest, type LimitRule } from './rate-limit.ts';

const REQUEST: KeyedRequest = {
  method: 'GET',
  path: '/api/x',
  query: 'a=1&b=2',
  headerValues: (name) => (name === 'x-user' ? ['me', 'you'] : name === 'x-long' ? ['x'.repeat(1_000)] : []),
  client: parseIdentity('spiffe://cluster.local/ns/web/sa/front'),
  address: '10.0.0.7',
  authenticated: { principal: 'issuer/me', claims: { user: { id: 7 } }, spaceDelimitedClaims: [] },
};

function rule(change: Partial<CountingRule> = {}): LimitRule {
  const one = { name: 'all', match: null, key: [], requests: 10, windowMs: 1_000, shadow: false, ...change };
  const server = { service: 'infra/limits', port: 81 };
  const global = { server, timeoutMs: 20, failOpen: true, rules: [one] };
  const limit = compileRateLimit({ policy: 'shop/p', rules: [], responseHeaders: false, global }, assert.fail);
  return limit.global?.rules[0] ?? assert.fail();
}

const KEYS: { key: RateLimitKey; entry: [string, string] }[] = [
  { key: { type: 'service-account' }, entry: ['source_service_account', 'web/front'] },
  { key: { type: 'namespace' }, entry: ['source_namespace', 'web'] },
  { key: { type: 'address' }, entry: ['source_ip', '10.0.0.7'] },
  { key: { type: 'method' }, entry: ['method', 'GET'] },
  { key: { type: 'path' }, entry: ['path', '/api/x'] },
  { key: { type: 'header', name: 'X-User' }, entry: ['header:x-user', 'me'] },
  { key: { type: 'header', name: 'x-none' }, entry: ['header:x-none', ''] },
  { key: { type: 'query', name: 'b' }, entry: ['query:b', '2'] },
  { key: { type: 'claim', path: ['user', 'id'] }, entry: ['claim:user.id', '7'] },
];
for (const { key, entry } of KEYS)
  test(`W59 a descriptor by ${JSON.stringify(key)} (config-api 6.3)`, () => {
    const { entries } = descriptorOf('shop/p', rule({ key: [key] }), REQUEST);
    assert.deepEqual(entries, [['policy', 'shop/p'], ['rule', 'all'], entry]);
  });

test('W59 the limit goes with the descriptor; a client without identity, and a long value, which is shortened', () => {
  const key: RateLimitKey[] = [{ type: 'service-account' }, { type: 'header', name: 'x-long' }];
  const { entries, requests, windowMs } = descriptorOf('a/b', rule({ key, requests: 5, windowMs: 60_000 }), {
    ...REQUEST,
    client: null,
  });
  assert.deepEqual([requests, windowMs], [5, 60_000]);
  assert.deepEqual(entries[2], ['source_service_account', '']);
  assert.equal(entries[3]?.[1], `${'x'.repeat(WAYPOINT.bucketKeyCharactersMax)}\n1000`);
});

const OK: DescriptorStatus = { over: false, limited: true, remaining: 4, resetMs: 700 };
const OVER: DescriptorStatus = { over: true, limited: true, remaining: 0, resetMs: 900 };
const A = rule({ name: 'a' });
const B = rule({ name: 'b' });
const SHADOW = rule({ name: 's', shadow: true });

type Case = {
  name: string;
  rules: LimitRule[];
  over: boolean;
  statuses: DescriptorStatus[];
  refused: boolean;
  exceeded: string;
  tightest: string | null;
};
const CASES: Case[] = [
  {
    name: 'all have some left',
    rules: [A, B],
    over: false,
    statuses: [OK, { ...OK, remaining: 2 }],
    refused: false,
    exceeded: '',
    tightest: 'b 2',
  },
  { name: 'one has none', rules: [A, B], over: true, statuses: [OK, OVER], refused: true, exceeded: 'b', tightest: 'b 0' },
  {
    name: 'one that is not enforced has none',
    rules: [SHADOW, A],
    over: true,
    statuses: [OVER, OK],
    refused: false,
    exceeded: 's',
    tightest: 'a 4',
  },
  {
    name: 'both have none',
    rules: [SHADOW, A],
    over: true,
    statuses: [OVER, OVER],
    refused: true,
    exceeded: 's,a',
    tightest: 'a 0',
  },
  {
    name: 'nothing but such as are not enforced',
    rules: [SHADOW],
    over: true,
    statuses: [],
    refused: false,
    exceeded: 's',
    tightest: null,
  },
  { name: 'it does not say which', rules: [A, SHADOW], over: true, statuses: [], refused: true, exceeded: 'a,s', tightest: null },
  {
    name: 'it says so of the whole alone',
    rules: [A],
    over: true,
    statuses: [OK],
    refused: true,
    exceeded: 'a',
    tightest: 'a 4',
  },
  {
    name: 'it lets pass what it has counted as too much',
    rules: [A],
    over: false,
    statuses: [OVER],
    refused: false,
    exceeded: '',
    tightest: 'a 0',
  },
  {
    name: 'it says more than it was asked',
    rules: [A],
    over: false,
    statuses: [OK, OVER],
    refused: false,
    exceeded: '',
    tightest: null,
  },
];
for (const { name, rules, over, statuses, refused, exceeded, tightest } of CASES)
  test(`W59 what an answer means: ${name}`, () => {
    const verdict = judgeAnswer(rules, { over, statuses });
    assert.equal(verdict.refused, refused);
    assert.equal(verdict.exceeded.map((one) => one.name).join(), exceeded);
    const told = verdict.tightest;
    assert.equal(told === null ? null : `${told.rule.name} ${told.verdict.remaining}`, tightest);
  });

test('W59 an answer that lets pass shows that it has counted, or does not', () => {
  const answer = (over: boolean, statuses: DescriptorStatus[]) => ({
    ...({ kind: 'answered', toClient: [], toUpstream: [], body: new Uint8Array() } as const),
    over,
    statuses,
  });
  assert.equal(isUncounted(answer(false, [OK]), 1), false);
  assert.equal(isUncounted(answer(false, [{ ...OK, limited: false }]), 1), true);
  assert.equal(isUncounted(answer(false, []), 1), true);
  assert.equal(isUncounted(answer(true, []), 1), false);
});
