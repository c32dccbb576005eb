import assert from 'node:assert/strict';
import test from 'node:test';
import { CRD_FILES, KINDS } from '#control-plane/kinds/list.ts';
import { YamlMesh } from '#control-plane/kinds/yaml-mesh.testing.ts';
import { createResourceParser } from '#control-plane/resources/resource-parser.ts';
import { parseIp } from '#model/address/ip.ts';
import type { Authorization, Match } from '#model/mesh/authorization.ts';
import { decideL4, L4Policies } from '#model/policy/l4.ts';
import { readCrds } from '#platform/files/crds.ts';

const parser = createResourceParser(KINDS, await readCrds(CRD_FILES));

function policy(spec: string, { name = 'p', namespace = 'shop', annotations = '' } = {}): string {
  return `apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: { name: ${name}, namespace: ${namespace}, annotations: { ${annotations} } }\nspec: { ${spec} }\n`;
}

function converted(spec: string, options: { trustDomain?: string } = {}): Authorization | undefined {
  return new YamlMesh(parser, policy(spec), options).index.snapshot().policies.get('shop/p');
}

/** The fields of a match that restrict something. */
function fieldsOf(match: Match): object {
  return Object.fromEntries(Object.entries(match).filter(([, list]: [string, readonly unknown[]]) => list.length > 0));
}

/** Rules as lists of clauses as lists of matches. */
function shapeOf(spec: string, options: { trustDomain?: string } = {}): unknown {
  return converted(spec, options)?.rules.map(({ clauses }) => clauses.map(({ matches }) => matches.map(fieldsOf)));
}

const exact = (value: string) => ({ kind: 'exact', value });
const from = (source: string) => `rules: [{ from: [{ source: { ${source} } }] }]`;

const conversions: { name: string; spec: string; trustDomain?: string; want: unknown }[] = [
  { name: 'no rules: allows nothing', spec: '', want: [] },
  { name: 'C46: an empty rule has no clauses and matches everything', spec: 'rules: [{}]', want: [[]] },
  {
    name: 'clauses: to, then from, then one per when',
    spec: 'rules: [{ from: [{ source: { namespaces: [a] } }, { source: { namespaces: [b] } }], to: [{ operation: { ports: ["80"] } }], when: [{ key: source.ip, values: [10.0.0.1] }, { key: destination.port, notValues: ["81"] }] }]',
    want: [
      [
        [{ destinationPorts: [80] }],
        [{ namespaces: [exact('a')] }, { namespaces: [exact('b')] }],
        [{ sourceIps: [{ base: '10.0.0.1', length: 32 }] }],
        [{ notDestinationPorts: [81] }],
      ],
    ],
  },
  {
    name: 'exact, prefix, suffix and presence',
    spec: from('principals: [a, "b*", "*c", "*"], notNamespaces: ["x*"]'),
    want: [
      [
        [
          {
            principals: [exact('a'), { kind: 'prefix', value: 'b' }, { kind: 'suffix', value: 'c' }, { kind: 'presence' }],
            notNamespaces: [{ kind: 'prefix', value: 'x' }],
          },
        ],
      ],
    ],
  },
  {
    name: 'service accounts of the own and of another namespace',
    spec: from('serviceAccounts: [own, other/one], notServiceAccounts: [no]'),
    want: [
      [
        [
          {
            serviceAccounts: [
              { namespace: 'shop', serviceAccount: 'own' },
              { namespace: 'other', serviceAccount: 'one' },
            ],
            notServiceAccounts: [{ namespace: 'shop', serviceAccount: 'no' }],
          },
        ],
      ],
    ],
  },
  {
    name: 'ranges keep their host bits',
    spec: from('ipBlocks: [10.1.2.3/8], notIpBlocks: ["fd00::/8"]'),
    want: [[[{ sourceIps: [{ base: '10.1.2.3', length: 8 }], notSourceIps: [{ base: 'fd00::', length: 8 }] }]]],
  },
  {
    name: 'a trust domain is the beginning of a principal',
    spec: from('trustDomains: [a.org]'),
    want: [[[{ principals: [{ kind: 'prefix', value: 'a.org/' }] }]]],
  },
  {
    name: 'cluster.local stands for the mesh’s trust domain',
    spec: from('principals: [cluster.local/ns/a/sa/b]'),
    trustDomain: 'example.org',
    want: [[[{ principals: [exact('cluster.local/ns/a/sa/b'), exact('example.org/ns/a/sa/b')] }]]],
  },
  {
    name: 'every source.* attribute works at L4',
    spec: 'rules: [{ when: [{ key: source.serviceAccount, values: [a] }, { key: source.trustDomain, notValues: [t] }, { key: source.namespace, values: [n] }, { key: source.principal, values: ["*"] }, { key: destination.ip, values: [10.0.0.1] }] }]',
    want: [
      [
        [{ serviceAccounts: [{ namespace: 'shop', serviceAccount: 'a' }] }],
        [{ notPrincipals: [{ kind: 'prefix', value: 't/' }] }],
        [{ namespaces: [exact('n')] }],
        [{ principals: [{ kind: 'presence' }] }],
        [{ destinationIps: [{ base: '10.0.0.1', length: 32 }] }],
      ],
    ],
  },
  {
    name: 'C41: an ALLOW rule with paths is dropped, the policy stays',
    spec: 'rules: [{ to: [{ operation: { paths: [/a], ports: ["80"] } }] }, { to: [{ operation: { ports: ["81"] } }] }]',
    want: [[[{ destinationPorts: [81] }]]],
  },
  {
    name: 'C42: DENY with ports and methods denies the ports',
    spec: 'action: DENY, rules: [{ to: [{ operation: { methods: [POST], ports: ["80"] } }] }]',
    want: [[[{ destinationPorts: [80] }]]],
  },
  {
    name: 'C42, made stricter (promise 3): DENY with only methods denies everything, instead of nothing',
    spec: 'action: DENY, rules: [{ to: [{ operation: { methods: [POST] } }] }]',
    want: [[]],
  },
  {
    name: 'C42, made stricter: an entry of only L7 fields makes its clause true; the others still count',
    spec: 'action: DENY, rules: [{ from: [{ source: { namespaces: [a] } }], to: [{ operation: { paths: [/x] } }, { operation: { ports: ["80"] } }] }]',
    want: [[[{ namespaces: [exact('a')] }]]],
  },
  {
    name: 'a condition on a request in DENY is left out',
    spec: 'action: DENY, rules: [{ when: [{ key: "request.headers[x]", values: [a] }, { key: destination.port, values: ["80"] }] }]',
    want: [[[{ destinationPorts: [80] }]]],
  },
  {
    name: 'a star inside a namespace cannot be compared: the ALLOW rule is dropped',
    spec: from('namespaces: ["a*b"]'),
    want: [],
  },
  {
    name: 'the end of a trust domain cannot be compared: the ALLOW rule is dropped',
    spec: from('trustDomains: ["*.org"]'),
    want: [],
  },
];
for (const { name, spec, trustDomain, want } of conversions) {
  test(`L4: ${name}`, () => assert.deepEqual(shapeOf(spec, trustDomain === undefined ? {} : { trustDomain }), want));
}

test('C46: no conversion leaves a match without any field', () => {
  for (const { spec } of conversions) {
    for (const rule of converted(spec)?.rules ?? []) {
      for (const clause of rule.clauses) for (const match of clause.matches) assert.notDeepEqual(fieldsOf(match), {});
    }
  }
});

const scopes: { name: string; yaml: string; want: string | undefined }[] = [
  {
    name: 'C40: root namespace without selector: the whole mesh',
    yaml: policy('', { namespace: 'istio-system' }),
    want: 'global',
  },
  { name: 'a namespace without selector', yaml: policy(''), want: 'namespace' },
  { name: 'an empty selector is none', yaml: policy('selector: {}'), want: 'namespace' },
  { name: 'a selector', yaml: policy('selector: { matchLabels: { app: a } }'), want: 'workload-selector' },
  { name: 'C43: AUDIT is not sent', yaml: policy('action: AUDIT, rules: [{}]'), want: undefined },
  { name: 'C43: CUSTOM is not sent', yaml: policy('action: CUSTOM, provider: { name: x }, rules: [{}]'), want: undefined },
  { name: 'C43: targetRefs are not sent', yaml: policy('targetRefs: [{ kind: Service, name: s }]'), want: undefined },
];
for (const { name, yaml, want } of scopes) {
  test(`scope: ${name}`, () => assert.equal([...new YamlMesh(parser, yaml).index.snapshot().policies.values()][0]?.scope, want));
}

const statuses: { name: string; spec: string; want: string }[] = [
  { name: 'enforced as it is', spec: '', want: 'True Accepted' },
  { name: 'C41: an L7 field in ALLOW', spec: 'rules: [{ to: [{ operation: { paths: [/a] } }] }]', want: 'True UnsupportedValue' },
  { name: 'C43: CUSTOM', spec: 'action: CUSTOM, provider: { name: x }, rules: [{}]', want: 'False UnsupportedValue' },
  { name: 'C43: AUDIT', spec: 'action: AUDIT, rules: [{}]', want: 'False UnsupportedValue' },
];
for (const { name, spec, want } of statuses) {
  test(`status: ${name}`, () => {
    const conditions = new YamlMesh(parser, policy(spec)).conditions('AuthorizationPolicy shop/p');
    assert.deepEqual(conditions, [`ZtunnelAccepted ${want}`, `weft.dev/NodeProxyAccepted ${want}`]);
  });
}

test('what is not enforced as written is reported with the field', () => {
  const mesh = new YamlMesh(parser, policy('action: DENY, rules: [{ to: [{ operation: { methods: [GET], hosts: [a] } }] }]'));
  assert.match(
    mesh.problems('AuthorizationPolicy shop/p').join(),
    /WEFT_NOT_ENFORCED.*denies all traffic, whatever its hosts, methods/,
  );
});

test('dry run is kept, and such a policy decides nothing', () => {
  const mesh = new YamlMesh(parser, policy('action: DENY, rules: [{}]', { annotations: 'istio.io/dry-run: "true"' }));
  const found = mesh.index.snapshot().policies.get('shop/p');
  assert.ok(found?.dryRun);
  const connection = { source: null, sourceIp: parseIp('10.0.0.1'), destinationIp: parseIp('10.0.0.2'), destinationPort: 80 };
  assert.equal(decideL4(new L4Policies([found], []), connection).allowed, true);
});

test('C40: a selector of the root namespace reaches workloads of every namespace, another one only its own', () => {
  const selector = 'selector: { matchLabels: { app: a } }';
  const mesh = new YamlMesh(
    parser,
    [policy(selector, { namespace: 'istio-system', name: 'root' }), policy(selector, { name: 'own' })].join('---\n'),
  );
  const labels = { app: 'a' };
  mesh.register('alpha', { name: 'mine', labels }, { name: 'far', namespace: 'other', labels }, { name: 'plain' });
  assert.deepEqual(mesh.workload('mine')?.authorizationPolicies, ['istio-system/root', 'shop/own']);
  assert.deepEqual(mesh.workload('far')?.authorizationPolicies, ['istio-system/root']);
  assert.deepEqual(mesh.workload('plain')?.authorizationPolicies, []);
});

test('a policy that nodes do not enforce is not listed on workloads (C16)', () => {
  const mesh = new YamlMesh(
    parser,
    policy('action: CUSTOM, provider: { name: x }, selector: { matchLabels: { app: a } }, rules: [{}]'),
  );
  mesh.register('alpha', { name: 'w', labels: { app: 'a' } });
  assert.deepEqual(mesh.workload('w')?.authorizationPolicies, []);
});

test('a policy and the workloads it is attached to change in one delta (C16)', () => {
  const mesh = new YamlMesh(parser);
  mesh.register('alpha', { name: 'w', labels: { app: 'a' } }, { name: 'v' });
  const { mesh: delta } = mesh.apply(policy('selector: { matchLabels: { app: a } }'));
  assert.deepEqual(
    [[...delta.policies.keys()], [...delta.workloads.keys()]],
    [['shop/p'], ['Kubernetes/weft.dev/Workload/shop/w']],
  );
});
