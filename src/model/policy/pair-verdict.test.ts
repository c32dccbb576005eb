import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseIp } from '#model/address/ip.ts';
import { EMPTY_MATCH, type Match } from '#model/mesh/authorization.ts';
import { aWorkload } from '#model/mesh/mesh-fixtures.testing.ts';
import { L4Policies, mayAnyway, pairVerdict } from './l4.ts';

const client = aWorkload('client', ['10.0.0.1', 'fd00::1']);
const server = aWorkload('server', ['10.0.0.2', 'fd00::2']);
const denies = (match: Partial<Match>): L4Policies =>
  new L4Policies(
    [
      {
        name: 'p',
        namespace: 'shop',
        scope: 'namespace',
        action: 'deny',
        dryRun: false,
        rules: [{ clauses: [{ matches: [{ ...EMPTY_MATCH, ...match }] }] }],
      },
    ],
    [],
  );
const block = (ip: string, length: number) => [{ base: parseIp(ip), length }];

const cases = [
  { name: 'no policy allows', set: new L4Policies([], []), source: client, want: true },
  {
    name: 'F13: a policy that is missing gives no verdict to keep',
    set: new L4Policies([], ['shop/x']),
    source: client,
    want: null,
  },
  {
    name: 'a verdict of the identity holds for both families',
    set: denies({ namespaces: [{ kind: 'exact' as const, value: 'shop' }] }),
    source: client,
    want: false,
  },
  {
    name: 'a verdict that depends on the destination address is not cached',
    set: denies({ destinationIps: block('10.0.0.2', 32) }),
    source: client,
    want: null,
  },
  {
    name: 'one that depends on the source address of one family is not cached',
    set: denies({ sourceIps: block('10.0.0.0', 8) }),
    source: client,
    want: null,
  },
  {
    name: 'plain text is not cached while a policy looks at source addresses',
    set: denies({ sourceIps: block('10.5.0.0', 16) }),
    source: null,
    want: null,
  },
  {
    name: 'plain text under STRICT is denied',
    set: denies({ notPrincipals: [{ kind: 'presence' as const }] }),
    source: null,
    want: false,
  },
];
for (const { name, set, source, want } of cases) test(name, () => assert.equal(pairVerdict(set, source, server, 80), want));

test('workloads without a common family have no verdict', () => {
  assert.equal(
    pairVerdict(denies({ destinationPorts: [80] }), aWorkload('six', ['fd00::9']), aWorkload('four', ['10.0.0.9']), 80),
    null,
  );
});

test('whoever no rule could hold for may connect anyway, and nobody else', () => {
  const other = { principals: [{ kind: 'exact' as const, value: 'cluster.local/ns/shop/sa/other' }] };
  const own = {
    principals: [{ kind: 'exact' as const, value: `cluster.local/ns/${client.namespace}/sa/${client.serviceAccount}` }],
  };
  assert.equal(mayAnyway(new L4Policies([], []), client), true);
  assert.equal(mayAnyway(denies(other), client), true);
  assert.equal(mayAnyway(denies(own), client), false);
  assert.equal(mayAnyway(denies({ principals: [{ kind: 'prefix', value: 'cluster.local/ns/shop/sa/o' }] }), client), false);
  assert.equal(mayAnyway(denies({ destinationPorts: [81] }), client), false);
  assert.equal(mayAnyway(new L4Policies([], ['shop/x']), client), false);
  const allowing = denies(other).policies.map((policy) => ({ ...policy, action: 'allow' as const }));
  assert.equal(mayAnyway(new L4Policies(allowing, []), client), false);
});
