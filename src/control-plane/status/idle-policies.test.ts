import assert from 'node:assert/strict';
import test from 'node:test';
import { type Authorization, EMPTY_MATCH, type Match } from '#model/mesh/authorization.ts';
import { aWorkload } from '#model/mesh/mesh-fixtures.testing.ts';
import type { Workload } from '#model/mesh/workload.ts';
import { IdlePolicies } from './idle-policies.ts';

function policy(match: Partial<Match>, change: Partial<Authorization> = {}): Authorization {
  const rules = [{ clauses: [{ matches: [{ ...EMPTY_MATCH, ...match }] }] }];
  return { name: 'p', namespace: 'shop', scope: 'workload-selector', action: 'allow', rules, dryRun: false, ...change };
}

/** What is told of one policy while these workloads are there. */
function told(authorization: Authorization, workloads: readonly Workload[]): string[] {
  const idle = new IdlePolicies('cluster.local');
  idle.apply({
    workloads: new Map(workloads.map((workload) => [workload.uid, workload])),
    policies: new Map([['shop/p', authorization]]),
  });
  return [...idle.problems(9)].flatMap(([name, problems]) => problems.map(({ code, message }) => `${name} ${code} ${message}`));
}

const web = { ...aWorkload('web', ['10.0.0.1']), namespace: 'shop', serviceAccount: 'web', authorizationPolicies: ['shop/p'] };
const cases: { name: string; policy: Authorization; says: RegExp[] }[] = [
  {
    name: 'that selects a workload and names one',
    policy: policy({ serviceAccounts: [{ namespace: 'shop', serviceAccount: 'web' }] }),
    says: [],
  },
  {
    name: 'whose namespace has none',
    policy: policy({}, { scope: 'namespace', namespace: 'shpo' }),
    says: [/namespace shpo has none/],
  },
  {
    name: 'that names a namespace without any',
    policy: policy({ namespaces: [{ kind: 'exact', value: 'bank' }] }),
    says: [/of namespace bank is/],
  },
  {
    name: 'that names an account that nobody runs as, twice',
    policy: policy({
      serviceAccounts: [{ namespace: 'shop', serviceAccount: 'wbe' }],
      principals: [{ kind: 'exact', value: 'cluster.local/ns/shop/sa/wbe' }],
    }),
    says: [/^AuthorizationPolicy shop\/p WEFT_MATCHES_NOTHING no workload runs as service account shop\/wbe now/],
  },
  {
    name: 'with patterns, and a principal of another mesh',
    policy: policy({
      namespaces: [{ kind: 'prefix', value: 'ba' }, { kind: 'presence' }],
      principals: [{ kind: 'exact', value: 'other.mesh/ns/x/sa/y' }],
    }),
    says: [],
  },
  { name: 'that excludes what is not there', policy: policy({ notNamespaces: [{ kind: 'exact', value: 'bank' }] }), says: [] },
  {
    name: 'that stands for a PeerAuthentication',
    policy: policy({}, { name: 'istio_converted_static_strict', scope: 'namespace', namespace: 'x' }),
    says: [],
  },
];
for (const { name, policy: authorization, says } of cases) {
  test(`H5: a policy ${name}: ${says.length === 0 ? 'nothing is told' : 'told'}`, () => {
    const lines = told(authorization, [web]);
    assert.equal(lines.length, says.length, lines.join('\n'));
    for (const [at, pattern] of says.entries()) assert.match(lines[at] ?? '', pattern);
  });
}

test('H5: a policy that selects nothing is told, until a workload comes, and again when it goes', () => {
  const idle = new IdlePolicies('cluster.local');
  const tell = (workload: Workload | null): number => {
    idle.apply({ workloads: new Map([[web.uid, workload]]), policies: new Map() });
    return idle.problems(9).size;
  };
  idle.apply({ workloads: new Map(), policies: new Map([['shop/p', policy({})]]) });
  assert.equal(idle.problems(9).size, 1);
  assert.deepEqual([tell(web), tell(web), tell({ ...web, authorizationPolicies: [] }), tell(web), tell(null)], [0, 0, 1, 0, 1]);
  idle.apply({ workloads: new Map(), policies: new Map([['shop/p', null]]) });
  assert.equal(idle.problems(9).size, 0);
});
