import assert from 'node:assert/strict';
import test from 'node:test';
import { ipToBytes16, parseIp, tryParseCidr } from '#model/address/ip.ts';
import { type Identity, principalOf } from '#model/identity/identity.ts';
import { type Authorization, EMPTY_MATCH } from '#model/mesh/authorization.ts';
import type { L7Policy } from '#model/waypoint/config.ts';
import { connectionOf, decideL4, dryRunL4, L4Policies } from './l4.ts';
import { compileL7, decideL7, dryRunL7 } from './l7.ts';
import { parseForm } from './match.ts';

// What L4 and L7 both can say, asked of both: the two entry points must never disagree.

/** One rule in words that both understand; every list is ORed, lists are ANDed. */
type Words = {
  principals?: string[];
  notPrincipals?: string[];
  namespaces?: string[];
  notNamespaces?: string[];
  accounts?: string[];
  notAccounts?: string[];
  blocks?: string[];
  notBlocks?: string[];
  ports?: number[];
  notPorts?: number[];
};
type Policy = { name: string; action: 'allow' | 'deny'; rules: Words[]; dryRun?: boolean };
type Call = { from: Identity | null; ip: string; port: number };

const CART: Identity = { trustDomain: 'cluster.local', namespace: 'shop', serviceAccount: 'cart' };
const CALL: Call = { from: CART, ip: '10.0.0.7', port: 8080 };
const ANONYMOUS: Call = { ...CALL, from: null };
const SELF = parseIp('10.0.0.9');

function asL4({ name, action, rules, dryRun = false }: Policy): Authorization {
  const cidrs = (texts: string[] = []) => texts.flatMap((text) => tryParseCidr(text) ?? []);
  const accounts = (texts: string[] = []) =>
    texts.map((text) => ({ namespace: text.split('/')[0] ?? '', serviceAccount: text.split('/')[1] ?? '' }));
  const matches = rules.map((words) => ({
    ...EMPTY_MATCH,
    principals: (words.principals ?? []).map(parseForm),
    notPrincipals: (words.notPrincipals ?? []).map(parseForm),
    namespaces: (words.namespaces ?? []).map(parseForm),
    notNamespaces: (words.notNamespaces ?? []).map(parseForm),
    serviceAccounts: accounts(words.accounts),
    notServiceAccounts: accounts(words.notAccounts),
    sourceIps: cidrs(words.blocks),
    notSourceIps: cidrs(words.notBlocks),
    destinationPorts: words.ports ?? [],
    notDestinationPorts: words.notPorts ?? [],
  }));
  // A rule without words: at L4 a rule without clauses, as the control plane writes it (B43, B44).
  const isEmpty = (words: Words): boolean => Object.keys(words).length === 0;
  const clauses = rules.map((words, at) => (isEmpty(words) ? [] : [{ matches: matches.slice(at, at + 1) }]));
  return { name, namespace: 'shop', scope: 'namespace', action, dryRun, rules: clauses.map((list) => ({ clauses: list })) };
}

function asL7({ name, action, rules, dryRun = false }: Policy): L7Policy {
  const texts = (ports: number[] = []) => ports.map(String);
  const l7 = rules.map((words) => ({
    from: [
      {
        principals: words.principals ?? [],
        notPrincipals: words.notPrincipals ?? [],
        namespaces: words.namespaces ?? [],
        notNamespaces: words.notNamespaces ?? [],
        serviceAccounts: words.accounts ?? [],
        notServiceAccounts: words.notAccounts ?? [],
        ipBlocks: words.blocks ?? [],
        notIpBlocks: words.notBlocks ?? [],
      },
    ],
    to: [
      {
        ...{ hosts: [], notHosts: [], methods: [], notMethods: [], paths: [], notPaths: [] },
        ports: texts(words.ports),
        notPorts: texts(words.notPorts),
      },
    ],
    when: [],
  }));
  return { name, namespace: 'shop', action, dryRun, rules: l7 };
}

const REQUEST = { method: 'GET', path: '/', authority: 'cart', authenticated: null, headerValues: () => [] };
type Seen = { allowed: boolean; by: string | null };

/** What each entry point says: L4, L7 of a request, L7 of a bare connection. */
function ask(policies: Policy[], { from, ip, port }: Call): Seen[] {
  const l4 = decideL4(new L4Policies(policies.map(asL4), []), connectionOf(from, parseIp(ip), { ip: SELF, port }));
  const set = compileL7(policies.map(asL7), 'cluster.local', assert.fail);
  const facts = {
    identity: from,
    principal: from === null ? null : principalOf(from),
    sourceBytes: ipToBytes16(parseIp(ip)),
    destinationBytes: ipToBytes16(SELF),
    destinationPort: port,
  };
  const l7 = [REQUEST, null].map((http) => decideL7(set, { ...facts, http }));
  // When no ALLOW policy matches, L4 names the first one for the log and L7 none: what decided is no rule.
  const byL4 = l4.rule === null ? null : `${l4.policy}#${l4.rule}`;
  return [
    { allowed: l4.allowed, by: byL4 },
    ...l7.map(({ kind, by }) => ({ allowed: kind === 'allow', by: by === null ? null : `${by.policy}#${by.index}` })),
  ];
}

const deny = (...rules: Words[]): Policy => ({ name: 'deny', action: 'deny', rules });
const allow = (...rules: Words[]): Policy => ({ name: 'allow', action: 'allow', rules });
const FRONT = 'cluster.local/ns/web/sa/front';
const PRINCIPAL = 'cluster.local/ns/shop/sa/cart';

const cases: { name: string; policies: Policy[]; call?: Call; want: Seen }[] = [
  { name: 'B42: no policy allows', policies: [], want: { allowed: true, by: null } },
  { name: 'B42: DENY beats ALLOW', policies: [allow({}), deny({})], want: { allowed: false, by: 'shop/deny#0' } },
  { name: 'B42: an ALLOW that does not match denies', policies: [allow({ ports: [1] })], want: { allowed: false, by: null } },
  { name: 'an ALLOW that matches allows', policies: [allow({ ports: [8080] })], want: { allowed: true, by: 'shop/allow#0' } },
  { name: 'B43: ALLOW without rules denies', policies: [allow()], want: { allowed: false, by: null } },
  { name: 'B43: DENY without rules denies nothing', policies: [deny()], want: { allowed: true, by: null } },
  {
    name: 'the first rule that matches decides',
    policies: [deny({ ports: [1] }, {})],
    want: { allowed: false, by: 'shop/deny#1' },
  },
  { name: 'an exact principal', policies: [deny({ principals: [PRINCIPAL] })], want: { allowed: false, by: 'shop/deny#0' } },
  { name: 'another principal', policies: [deny({ principals: [FRONT] })], want: { allowed: true, by: null } },
  { name: 'values are ORed', policies: [deny({ principals: [FRONT, PRINCIPAL] })], want: { allowed: false, by: 'shop/deny#0' } },
  { name: 'fields are ANDed', policies: [deny({ principals: [PRINCIPAL], ports: [1] })], want: { allowed: true, by: null } },
  {
    name: 'B46: a prefix and a suffix',
    policies: [deny({ principals: ['cluster.local/ns/shop/*'] }), allow({ principals: ['*/sa/cart'] })],
    want: { allowed: false, by: 'shop/deny#0' },
  },
  {
    name: 'a star inside is literal',
    policies: [deny({ principals: ['cluster.local/*/sa/cart'] })],
    want: { allowed: true, by: null },
  },
  {
    name: 'W65, B45: * needs an identity',
    policies: [allow({ principals: ['*'] })],
    call: ANONYMOUS,
    want: { allowed: false, by: null },
  },
  {
    name: 'B45: STRICT refuses plain text',
    policies: [deny({ notPrincipals: ['*'] })],
    call: ANONYMOUS,
    want: { allowed: false, by: 'shop/deny#0' },
  },
  { name: 'B45: STRICT passes an identity', policies: [deny({ notPrincipals: ['*'] })], want: { allowed: true, by: null } },
  { name: 'a namespace', policies: [allow({ namespaces: ['shop'] })], want: { allowed: true, by: 'shop/allow#0' } },
  {
    name: 'a namespace needs an identity',
    policies: [allow({ namespaces: ['*'] })],
    call: ANONYMOUS,
    want: { allowed: false, by: null },
  },
  {
    name: 'notNamespaces matches a missing identity',
    policies: [deny({ notNamespaces: ['shop'] })],
    call: ANONYMOUS,
    want: { allowed: false, by: 'shop/deny#0' },
  },
  {
    name: 'a service account, whatever the trust domain',
    policies: [allow({ accounts: ['shop/cart'] })],
    call: { ...CALL, from: { ...CART, trustDomain: 'other' } },
    want: { allowed: true, by: 'shop/allow#0' },
  },
  { name: 'not that account', policies: [deny({ notAccounts: ['shop/cart'] })], want: { allowed: true, by: null } },
  { name: 'a block', policies: [deny({ blocks: ['10.0.0.0/29'] })], want: { allowed: false, by: 'shop/deny#0' } },
  { name: 'a block beside it', policies: [deny({ blocks: ['10.0.0.8/29'] })], want: { allowed: true, by: null } },
  {
    name: 'a block that ends inside a byte',
    policies: [deny({ blocks: ['10.0.0.6/31'] })],
    want: { allowed: false, by: 'shop/deny#0' },
  },
  { name: 'every IPv6 address is no IPv4 address', policies: [deny({ blocks: ['::/0'] })], want: { allowed: true, by: null } },
  {
    name: 'every IPv4 address is no IPv6 address',
    policies: [deny({ blocks: ['0.0.0.0/0'] })],
    call: { ...CALL, ip: 'fd00::7' },
    want: { allowed: true, by: null },
  },
  {
    name: 'a block of IPv6',
    policies: [deny({ blocks: ['fd00::/8'] })],
    call: { ...CALL, ip: 'fd00::7' },
    want: { allowed: false, by: 'shop/deny#0' },
  },
  { name: 'outside of a block', policies: [deny({ notBlocks: ['10.0.0.0/8'] })], want: { allowed: true, by: null } },
  { name: 'not that port', policies: [deny({ notPorts: [80] })], want: { allowed: false, by: 'shop/deny#0' } },
  { name: 'B48: dry run decides nothing', policies: [{ ...deny({}), dryRun: true }], want: { allowed: true, by: null } },
  { name: 'B48: a dry-run ALLOW closes nothing', policies: [{ ...allow(), dryRun: true }], want: { allowed: true, by: null } },
];

for (const { name, policies, call, want } of cases)
  test(`policy at L4, on requests and on TCP: ${name}`, () => {
    for (const seen of ask(policies, call ?? CALL)) assert.deepEqual(seen, want);
  });

test('both entry points name the same dry-run policy', () => {
  const dry = [
    { ...deny({ ports: [8080] }), dryRun: true },
    { ...deny({ ports: [1] }), name: 'other', dryRun: true },
  ];
  const connection = connectionOf(CART, parseIp(CALL.ip), { ip: SELF, port: CALL.port });
  assert.deepEqual(dryRunL4(new L4Policies(dry.map(asL4), []), connection), [{ policy: 'shop/deny', rule: 0, decision: 'deny' }]);
  const set = compileL7(dry.map(asL7), 'cluster.local', assert.fail);
  const bytes = ipToBytes16(SELF);
  const facts = {
    identity: CART,
    principal: PRINCIPAL,
    sourceBytes: bytes,
    destinationBytes: bytes,
    destinationPort: 8080,
    http: null,
  };
  assert.equal(dryRunL7(set, facts)?.deny?.policy, 'shop/deny');
});
