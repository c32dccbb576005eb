import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseIp } from '#model/address/ip.ts';
import { type Authorization, EMPTY_MATCH, type Match, type StringMatch } from '#model/mesh/authorization.ts';
import { aMesh, aWorkload, deltaOf } from '#model/mesh/mesh-fixtures.testing.ts';
import {
  type Connection,
  connectionOf,
  decideL4,
  dryRunL4,
  L4Policies,
  policiesFor,
  restrictsPlaintext,
  widenedRules,
} from './l4.ts';

const CART: Connection = {
  source: { trustDomain: 'cluster.local', namespace: 'shop', serviceAccount: 'cart' },
  sourceIp: parseIp('10.0.0.1'),
  destinationIp: parseIp('10.0.0.2'),
  destinationPort: 8080,
};
const ANONYMOUS: Connection = { ...CART, source: null };

function policy(action: 'allow' | 'deny', rules: Partial<Match>[][][], extra: Partial<Authorization> = {}): Authorization {
  return {
    name: action,
    namespace: 'shop',
    scope: 'namespace',
    action,
    dryRun: false,
    rules: rules.map((clauses) => ({
      clauses: clauses.map((matches) => ({ matches: matches.map((match) => ({ ...EMPTY_MATCH, ...match })) })),
    })),
    ...extra,
  };
}

const exact = (value: string) => [{ kind: 'exact' as const, value }];
const PRESENCE = [{ kind: 'presence' as const }];
const principal = exact('cluster.local/ns/shop/sa/cart');
const any = policy('allow', [[]]);

const cases: { name: string; policies: Authorization[]; connection?: Connection; want: boolean }[] = [
  { name: 'B42: no policy allows', policies: [], want: true },
  { name: 'B42: DENY beats ALLOW', policies: [any, policy('deny', [[[{ principals: principal }]]])], want: false },
  {
    name: 'B42: ALLOW present but unmatched denies',
    policies: [policy('allow', [[[{ principals: exact('other') }]]])],
    want: false,
  },
  { name: 'B43: ALLOW without rules denies all', policies: [policy('allow', [])], want: false },
  { name: 'B43: DENY without rules denies nothing', policies: [policy('deny', [])], want: true },
  { name: 'B43: a rule without clauses matches all', policies: [policy('deny', [[]])], want: false },
  { name: 'B44: an empty match in ALLOW never matches', policies: [policy('allow', [[[{}]]])], want: false },
  { name: 'B44: an empty match in DENY always does', policies: [policy('deny', [[[{}]]])], want: false },
  {
    name: 'B44: beside another match, too: either may have been meant',
    policies: [policy('deny', [[[{}, { destinationPorts: [1] }]]])],
    want: false,
  },
  {
    name: 'B44: the other clauses of its rule still restrict it',
    policies: [policy('deny', [[[{}], [{ destinationPorts: [1] }]]])],
    want: true,
  },
  { name: 'B44: a clause without matches is true', policies: [policy('deny', [[[]]])], want: false },
  {
    name: 'B45: STRICT blocks plain text',
    policies: [policy('deny', [[[{ notPrincipals: PRESENCE }]]])],
    connection: ANONYMOUS,
    want: false,
  },
  { name: 'B45: STRICT passes an authenticated peer', policies: [policy('deny', [[[{ notPrincipals: PRESENCE }]]])], want: true },
  {
    name: 'without identity a principal never matches',
    policies: [policy('allow', [[[{ principals: PRESENCE }]]])],
    connection: ANONYMOUS,
    want: false,
  },
  {
    name: 'B46: a value with spiffe:// never matches',
    policies: [policy('deny', [[[{ principals: exact('spiffe://cluster.local/ns/shop/sa/cart') }]]])],
    want: true,
  },
  {
    name: 'B46: prefix',
    policies: [policy('deny', [[[{ principals: [{ kind: 'prefix', value: 'cluster.local/ns/shop/' }] }]]])],
    want: false,
  },
  { name: 'B46: suffix', policies: [policy('deny', [[[{ principals: [{ kind: 'suffix', value: '/sa/cart' }] }]]])], want: false },
  {
    name: 'B46: a service account ignores the trust domain',
    policies: [policy('deny', [[[{ serviceAccounts: [{ namespace: 'shop', serviceAccount: 'cart' }] }]]])],
    want: false,
  },
  { name: 'B47: the port is the workload port', policies: [policy('deny', [[[{ destinationPorts: [8080] }]]])], want: false },
  { name: 'B47: another port does not match', policies: [policy('deny', [[[{ destinationPorts: [80] }]]])], want: true },
  {
    name: 'clauses are ANDed',
    policies: [policy('deny', [[[{ principals: principal }], [{ destinationPorts: [1] }]]])],
    want: true,
  },
  {
    name: 'matches are ORed',
    policies: [policy('deny', [[[{ destinationPorts: [1] }, { principals: principal }]]])],
    want: false,
  },
  { name: 'fields are ANDed', policies: [policy('deny', [[[{ principals: principal, destinationPorts: [1] }]]])], want: true },
  {
    name: 'source blocks',
    policies: [policy('deny', [[[{ sourceIps: [{ base: parseIp('10.0.0.0'), length: 24 }] }]]])],
    want: false,
  },
  {
    name: 'source blocks of another family do not match',
    policies: [policy('deny', [[[{ sourceIps: [{ base: parseIp('::'), length: 0 }] }]]])],
    want: true,
  },
  { name: 'B48: dry-run changes no verdict', policies: [policy('deny', [[]], { dryRun: true })], want: true },
  { name: 'B48: a dry-run ALLOW does not count as ALLOW', policies: [policy('allow', [], { dryRun: true })], want: true },
];

for (const { name, policies, connection, want } of cases) {
  test(name, () => assert.equal(decideL4(new L4Policies(policies, []), connection ?? CART).allowed, want));
}

test('a decision names policy and rule', () => {
  const decision = decideL4(
    new L4Policies([policy('deny', [[[{ destinationPorts: [1] }]], [[{ principals: principal }]]])], []),
    CART,
  );
  assert.deepEqual({ policy: decision.policy, rule: decision.rule }, { policy: 'shop/deny', rule: 1 });
});

test('a policy that is named but unknown denies', () => {
  assert.equal(decideL4(new L4Policies([], ['shop/x']), CART).allowed, false);
});

const DRY_RUN: { name: string; policies: Authorization[]; want: [string, number | null, string][] }[] = [
  {
    name: 'a DENY that matches would deny',
    policies: [policy('deny', [[]], { dryRun: true })],
    want: [['shop/deny', 0, 'deny']],
  },
  { name: 'a DENY that does not match would do nothing', policies: [policy('deny', [], { dryRun: true })], want: [] },
  {
    name: 'an ALLOW that matches would allow',
    policies: [policy('allow', [[]], { dryRun: true })],
    want: [['shop/allow', 0, 'allow']],
  },
  {
    name: 'an ALLOW that does not match would deny',
    policies: [policy('allow', [], { dryRun: true })],
    want: [['shop/allow', null, 'deny']],
  },
  {
    name: 'an ALLOW that does not match changes nothing where one in force allows',
    policies: [policy('allow', [], { dryRun: true, name: 'dry' }), policy('allow', [[]])],
    want: [],
  },
  { name: 'a policy in force is not in dry run', policies: [policy('deny', [[]])], want: [] },
];
for (const { name, policies, want } of DRY_RUN) {
  test(`B48: in dry run, ${name}`, () =>
    assert.deepEqual(
      dryRunL4(new L4Policies(policies, []), CART).map(({ policy: key, rule, decision }) => [key, rule, decision]),
      want,
    ));
}

test('B48: dry-run matches are listed', () => {
  assert.deepEqual(dryRunL4(new L4Policies([policy('deny', [[]], { dryRun: true })], []), CART), [
    { policy: 'shop/deny', rule: 0, decision: 'deny' },
  ]);
});

test('B44: rules that deny more than was written are told, of DENY policies alone', () => {
  const rules: Partial<Match>[][][] = [[[{ destinationPorts: [1] }]], [[{}]], [], [[{ destinationPorts: [1] }], [{}]]];
  assert.deepEqual(widenedRules(policy('deny', rules)), [1, 3]);
  assert.deepEqual(widenedRules(policy('allow', rules)), []);
});

test('plain text is unrestricted only when nothing could refuse it', () => {
  assert.equal(restrictsPlaintext(new L4Policies([], [])), false);
  assert.equal(restrictsPlaintext(new L4Policies([policy('deny', [])], [])), false);
  assert.equal(restrictsPlaintext(new L4Policies([policy('deny', [[]])], [])), true);
  assert.equal(restrictsPlaintext(new L4Policies([any], [])), true);
  assert.equal(restrictsPlaintext(new L4Policies([], ['a/b'])), true);
});

test('the question is built of a workload, a verified identity, or plain text', () => {
  const target = { ip: parseIp('10.0.0.2'), port: 8080 };
  assert.deepEqual(connectionOf(CART.source, CART.sourceIp, target), CART);
  assert.deepEqual(connectionOf(aWorkload('cart', ['10.0.0.1']), CART.sourceIp, target), CART);
  assert.deepEqual(connectionOf(null, CART.sourceIp, target), ANONYMOUS);
});

test('policies of a destination: global, of its namespace, and those it lists; a change of policy is seen at once', () => {
  const mesh = aMesh([]);
  const listed = policy('deny', [[]], { name: 'listed', scope: 'workload-selector' });
  const there = policy('deny', [[]], { name: 'there', namespace: 'elsewhere' });
  const everywhere = policy('deny', [[]], { name: 'everywhere', namespace: 'istio-system', scope: 'global' });
  const change = (policies: [string, Authorization | null][]) => mesh.apply({ ...deltaOf([]), policies: new Map(policies) });
  change([
    ['shop/any', any],
    ['elsewhere/there', there],
    ['istio-system/everywhere', everywhere],
  ]);
  const plain = aWorkload('plain', ['10.0.0.5']);
  const picky = aWorkload('picky', ['10.0.0.6'], { authorizationPolicies: ['shop/listed'] });
  assert.deepEqual(policiesFor(mesh, plain).policies, [any, everywhere]);
  assert.equal(policiesFor(mesh, plain), policiesFor(mesh, aWorkload('another', ['10.0.0.8'])));
  assert.deepEqual(policiesFor(mesh, picky).missing, ['shop/listed']);
  change([['shop/listed', listed]]);
  assert.deepEqual(policiesFor(mesh, picky), new L4Policies([any, everywhere, listed], []));
  change([['shop/any', null]]);
  assert.deepEqual(policiesFor(mesh, plain).policies, [everywhere]);
});

test('what is decided with the rules that may hold for the caller is what all rules decide', () => {
  const account = fc.constantFrom('cart', 'web', 'other');
  const text: fc.Arbitrary<StringMatch> = fc.oneof(
    account.map((name) => ({ kind: 'exact' as const, value: `cluster.local/ns/shop/sa/${name}` })),
    fc.constantFrom<StringMatch>(
      { kind: 'prefix', value: 'cluster.local/ns/shop' },
      { kind: 'suffix', value: 'web' },
      { kind: 'presence' },
    ),
  );
  const names = fc.array(text, { maxLength: 2 });
  const match = fc.record({
    principals: names,
    notPrincipals: fc.oneof({ weight: 3, arbitrary: fc.constant([]) }, names),
    destinationPorts: fc.constantFrom<number[]>([], [8080], [1]),
  });
  const clause = fc.array(match, { maxLength: 2 });
  const rule = fc.array(clause, { maxLength: 2 });
  const one = fc.tuple(fc.constantFrom<('allow' | 'deny')[]>('allow', 'deny'), fc.array(rule, { maxLength: 2 }));
  const many = fc.array(one, { minLength: 20, maxLength: 40 });
  const caller = fc.option(account, { nil: null });
  fc.assert(
    fc.property(many, caller, (policies, name) => {
      const all = policies.map(([action, rules], at) => policy(action, rules, { name: `p${at}` }));
      const source = name === null ? null : { trustDomain: 'cluster.local', namespace: 'shop', serviceAccount: name };
      const connection = { ...CART, source };
      // Each by itself is too few for any to be left out.
      const alone = all.map((only) => ({ only, decision: decideL4(new L4Policies([only], []), connection) }));
      const denied = alone.find(({ only, decision }) => only.action === 'deny' && !decision.allowed);
      const allows = alone.filter(({ only }) => only.action === 'allow');
      const allowed = allows.find(({ decision }) => decision.allowed);
      const { allowed: got, policy: by } = decideL4(new L4Policies(all, []), connection);
      assert.equal(got, denied === undefined && (allows.length === 0 || allowed !== undefined));
      if (denied !== undefined) assert.equal(by, denied.decision.policy);
      else if (allowed !== undefined) assert.equal(by, allowed.decision.policy);
    }),
    { numRuns: 500 },
  );
});
