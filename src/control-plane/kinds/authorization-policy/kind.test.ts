import assert from 'node:assert/strict';
import test from 'node:test';
import { findingsOf, type Mistake, readSpec, testAccepted, testMistakes } from '#control-plane/kinds/documents.testing.ts';
import type { AuthorizationPolicyResource } from './schema.ts';

const source = (fields: string) => `{ rules: [{ from: [{ source: { ${fields} } }] }] }`;
const operation = (fields: string) => `{ rules: [{ to: [{ operation: { ${fields} } }] }] }`;
const when = (condition: string) => `{ rules: [{ when: [{ ${condition} }] }] }`;
const SOURCE = 'spec.rules[0].from[0].source';
const OPERATION = 'spec.rules[0].to[0].operation';
const WHEN = 'spec.rules[0].when[0]';

/** The numbers are the rows of "Example mistakes" in the configuration reference. */
const mistakes: Mistake[] = [
  {
    name: '15: selector and targetRefs',
    spec: '{ selector: { matchLabels: { a: b } }, targetRefs: [{ kind: Service, name: x }] }',
    at: 'spec.targetRefs',
    says: /selector and targetRefs exclude one another/,
    remedy: /choose one/,
  },
  {
    name: '18: DENY without rules',
    spec: '{ action: DENY }',
    at: 'spec.action',
    says: /matches nothing/,
    remedy: /ALLOW policy with an empty spec/,
  },
  {
    name: '19: a principal with spiffe://',
    severity: 'warning',
    spec: '{ rules: [{ from: [{ source: { principals: ["spiffe://cluster.local/ns/a/sa/b"] } }] }] }',
    at: 'spec.rules[0].from[0].source.principals[0]',
    says: /never matches/,
    remedy: /^write cluster.local\/ns\/a\/sa\/b/,
  },
  {
    name: '20: serviceAccounts next to principals',
    spec: '{ rules: [{ from: [{ source: { principals: [a], serviceAccounts: [a/b] } }] }] }',
    at: 'spec.rules[0].from[0].source.principals',
    says: /cannot be combined/,
    remedy: /two from entries/,
  },
  {
    name: '21: an operator after {**}',
    spec: '{ rules: [{ to: [{ operation: { paths: ["/a/{**}/b/{*}"] } }] }] }',
    at: 'spec.rules[0].to[0].operation.paths[0]',
    says: /must be the last operator/,
    remedy: /\{\*\*\} once/,
  },
  {
    name: '21: an operator in part of a segment',
    spec: '{ rules: [{ to: [{ operation: { notPaths: ["/v{*}"] } }] }] }',
    at: 'spec.rules[0].to[0].operation.notPaths[0]',
    says: /whole path segment/,
    remedy: /\{\*\}/,
  },
  {
    name: '22: an attribute misspelt',
    spec: '{ rules: [{ when: [{ key: "request.header[x]", values: [a] }] }] }',
    at: 'spec.rules[0].when[0].key',
    says: /did you mean "request.headers\[x\]"/,
    remedy: /source.ip.*request.headers/,
  },
  {
    name: '23: an attribute of the past',
    spec: '{ rules: [{ when: [{ key: "destination.labels[version]", values: [a] }] }] }',
    at: 'spec.rules[0].when[0].key',
    says: /no longer/,
    remedy: /selector/,
  },
  {
    name: '24: CUSTOM without provider',
    spec: '{ action: CUSTOM, rules: [{}] }',
    at: 'spec.action',
    says: /provider/,
    remedy: /provider.name/,
  },
  {
    name: 'a bad port in a policy rejects it',
    spec: '{ action: DENY, rules: [{ to: [{ operation: { ports: ["80-90"] } }] }] }',
    at: 'spec.rules[0].to[0].operation.ports[0]',
    says: /"80-90" is not a port/,
    remedy: /1 to 65535/,
  },
  {
    name: 'a bad address in a policy rejects it',
    spec: '{ rules: [{ from: [{ source: { notIpBlocks: [10.0.0.0/33] } }] }] }',
    at: 'spec.rules[0].from[0].source.notIpBlocks[0]',
    says: /neither an IP address nor a range/,
    remedy: /10.0.0.0\/8/,
  },
  {
    name: 'host bits show the network',
    severity: 'warning',
    spec: '{ rules: [{ when: [{ key: source.ip, values: [10.1.2.3/8] }] }] }',
    at: 'spec.rules[0].when[0].values[0]',
    says: /10.0.0.0\/8/,
    remedy: /^write 10.0.0.0\/8$/,
  },
  {
    name: 'a method in lower case never matches',
    severity: 'warning',
    spec: '{ rules: [{ to: [{ operation: { methods: [get] } }] }] }',
    at: 'spec.rules[0].to[0].operation.methods[0]',
    says: /upper case/,
    remedy: /^write GET$/,
  },
  {
    name: 'an empty list restricts nothing',
    spec: '{ rules: [{ from: [{ source: { principals: [] } }] }] }',
    at: 'spec.rules[0].from[0].source.principals',
    says: /restricts nothing/,
    remedy: /at least one value/,
  },
  {
    name: 'an empty source would match everything',
    spec: '{ rules: [{ from: [{}] }] }',
    at: 'spec.rules[0].from[0]',
    says: /match everything/,
    remedy: /remove the entry/,
  },
  {
    name: 'a target in another namespace',
    spec: '{ targetRefs: [{ kind: Service, name: x, namespace: other }] }',
    at: 'spec.targetRefs[0].namespace',
    says: /own namespace/,
    remedy: /remove it/,
  },
  {
    name: 'a Gateway target without its group',
    spec: '{ targetRefs: [{ kind: Gateway, name: x }] }',
    at: 'spec.targetRefs[0].group',
    says: /kind Gateway of group ""/,
    remedy: /group: "gateway.networking.k8s.io"/,
  },
  {
    name: 'an unknown field names the nearest one',
    spec: '{ rules: [{ to: [{ operation: { method: [GET] } }] }] }',
    at: 'spec.rules[0].to[0].operation.method',
    says: /did you mean "methods"/,
    remedy: /^write methods$/,
  },
  {
    name: 'an enum value misspelt',
    spec: '{ action: ALOW }',
    at: 'spec.action',
    says: /"ALOW" is not one of ALLOW, DENY/,
    remedy: /^did you mean ALLOW\?$/,
  },
  {
    name: 'a provider without CUSTOM',
    spec: '{ provider: { name: a } }',
    at: 'spec.provider',
    says: /action ALLOW has no use for a provider/,
    remedy: /CUSTOM/,
  },
  {
    name: 'CUSTOM without rules',
    spec: '{ action: CUSTOM, provider: { name: a } }',
    at: 'spec.action',
    says: /CUSTOM without rules matches nothing/,
    remedy: /empty spec/,
  },
  {
    name: 'a dry run that is neither true nor false',
    spec: '{}',
    head: 'annotations: { istio.io/dry-run: maybe }',
    at: 'metadata.annotations["istio.io/dry-run"]',
    says: /"maybe" is neither true nor false/,
    remedy: /"true" or "false"/,
  },
  {
    name: 'a selector with a wildcard',
    spec: '{ selector: { matchLabels: { app: "a*" } } }',
    at: 'spec.selector.matchLabels.app',
    says: /compares whole labels/,
    remedy: /exact label/,
  },
  {
    name: 'a target of a kind that is none',
    spec: '{ targetRefs: [{ kind: Servce, name: x }] }',
    at: 'spec.targetRefs[0].kind',
    says: /kind Servce of group "".*did you mean Service/,
    remedy: /Service, Gateway or GatewayClass/,
  },
  {
    name: 'a single target in another namespace',
    spec: '{ targetRef: { kind: Service, name: x, namespace: far } }',
    at: 'spec.targetRef.namespace',
    says: /own namespace, not "far"/,
    remedy: /remove it/,
  },
  {
    name: 'an empty operation would match everything',
    spec: operation(''),
    at: 'spec.rules[0].to[0]',
    says: /an empty operation would match everything/,
    remedy: /remove the entry/,
  },
  {
    name: 'an empty text',
    spec: source('namespaces: [""]'),
    at: `${SOURCE}.namespaces[0]`,
    says: /matches nothing/,
    remedy: /^remove it$/,
  },
  {
    name: 'two stars',
    severity: 'warning',
    spec: source('principals: ["*a*"]'),
    at: `${SOURCE}.principals[0]`,
    says: /only once/,
    remedy: /one \* at one end/,
  },
  {
    name: 'a service account with a star',
    spec: source('serviceAccounts: ["shop/*"]'),
    at: `${SOURCE}.serviceAccounts[0]`,
    says: /is not a service account/,
    remedy: /no wildcards/,
  },
  {
    name: 'a trust domain with a path',
    spec: source('trustDomains: [cluster.local/ns]'),
    at: `${SOURCE}.trustDomains[0]`,
    says: /is not a trust domain/,
    remedy: /at most one \*/,
  },
  {
    name: 'a trust domain with a star in the middle',
    spec: source('notTrustDomains: ["a*b"]'),
    at: `${SOURCE}.notTrustDomains[0]`,
    says: /is not a trust domain/,
    remedy: /at most one \*/,
  },
  {
    name: 'namespaces beside service accounts',
    spec: source('serviceAccounts: [a], namespaces: [b]'),
    at: `${SOURCE}.namespaces`,
    says: /cannot be combined with namespaces/,
    remedy: /two from entries/,
  },
  {
    name: 'a remote range that is none',
    spec: source('remoteIpBlocks: [ten]'),
    at: `${SOURCE}.remoteIpBlocks[0]`,
    says: /neither an IP address nor a range/,
    remedy: /10.0.0.1/,
  },
  {
    name: 'port zero',
    spec: operation('ports: ["0"]'),
    at: `${OPERATION}.ports[0]`,
    says: /"0" is not a port/,
    remedy: /one per item/,
  },
  {
    name: 'a port beyond all ports',
    spec: operation('notPorts: ["65536"]'),
    at: `${OPERATION}.notPorts[0]`,
    says: /"65536" is not a port/,
    remedy: /one per item/,
  },
  {
    name: 'a path without its slash',
    severity: 'warning',
    spec: operation('paths: [api]'),
    at: `${OPERATION}.paths[0]`,
    says: /never matches: a path begins with/,
    remedy: /^write \/api$/,
  },
  {
    name: 'a path with a star in the middle',
    severity: 'warning',
    spec: operation('paths: ["/a/*/b"]'),
    at: `${OPERATION}.paths[0]`,
    says: /compared literally/,
    remedy: /^write \/a\/\{\*\}\/b$/,
  },
  {
    name: 'a template without its slash',
    spec: operation('paths: ["a/{*}"]'),
    at: `${OPERATION}.paths[0]`,
    says: /a template begins with/,
    remedy: /whole segment/,
  },
  {
    name: 'a template with a plain star',
    spec: operation('paths: ["/a*/{*}"]'),
    at: `${OPERATION}.paths[0]`,
    says: /must not hold a plain \*/,
    remedy: /whole segment/,
  },
  {
    name: 'a template with a character of its own',
    spec: operation('paths: ["/a b/{*}"]'),
    at: `${OPERATION}.paths[0]`,
    says: /a character that templates do not allow/,
    remedy: /whole segment/,
  },
  {
    name: 'a condition without values',
    spec: when('key: source.ip'),
    at: WHEN,
    says: /needs values or notValues/,
    remedy: /add values/,
  },
  {
    name: 'a condition with an empty list',
    spec: when('key: source.ip, notValues: []'),
    at: `${WHEN}.notValues`,
    says: /restricts nothing/,
    remedy: /at least one value/,
  },
  {
    name: 'a condition on a port that is none',
    spec: when('key: destination.port, values: [http]'),
    at: `${WHEN}.values[0]`,
    says: /"http" is not a port/,
    remedy: /1 to 65535/,
  },
  {
    name: 'an attribute without its index',
    spec: when('key: request.headers, values: [a]'),
    at: `${WHEN}.key`,
    says: /did you mean "request.headers\[…\]"/,
    remedy: /use one of/,
  },
  {
    name: 'a header with two indexes',
    spec: when('key: "request.headers[a][b]", values: [a]'),
    at: `${WHEN}.key`,
    says: /is not an attribute/,
    remedy: /use one of/,
  },
];
testMistakes('AuthorizationPolicy', mistakes);

testAccepted('AuthorizationPolicy', {
  'nothing: allows nobody': '{}',
  'an empty selector': '{ selector: {} }',
  'an empty rule: allows everybody': '{ rules: [{}] }',
  'principals of every form': source('principals: [a, "a*", "*a", "*"]'),
  'service accounts of every form': source('serviceAccounts: [a, far/b]'),
  'trust domains of every form': source('trustDomains: [a.b, "a*", "*.b", "*"]'),
  'addresses and ranges': source('ipBlocks: [10.0.0.1, 10.0.0.0/8, "fd00::/8"]'),
  'paths of every form': operation('paths: [/a, "/a*", "*a", "*", "/a/{*}/b", "/a/{**}", "/{*}/{**}/b"]'),
  'methods and ports': operation('methods: [GET, "*"], ports: ["1", "65535"]'),
  'every attribute': `{ rules: [{ when: [${[
    'source.ip, values: [10.0.0.1]',
    'remote.ip, values: [10.0.0.1]',
    'source.namespace, values: [a]',
    'source.principal, values: [a]',
    'source.serviceAccount, values: [a/b]',
    'source.trustDomain, values: [a]',
    'request.auth.principal, values: [a]',
    'request.auth.audiences, values: [a]',
    'request.auth.presenter, values: [a]',
    'destination.ip, values: [10.0.0.1]',
    'destination.port, values: ["80"]',
    'connection.sni, values: [a]',
    '"request.headers[x]", values: [a]',
    '"request.auth.claims[a][b]", values: [a]',
  ]
    .map((condition) => `{ key: ${condition} }`)
    .join(', ')}] }] }`,
  'every kind of target':
    '{ targetRefs: [{ kind: Service, name: a }, { group: core, kind: Service, name: b }, { group: gateway.networking.k8s.io, kind: Gateway, name: c }, { group: gateway.networking.k8s.io, kind: GatewayClass, name: d }, { group: networking.istio.io, kind: ServiceEntry, name: e }] }',
});

const policy = (spec: string, head = '') => readSpec<AuthorizationPolicyResource>('AuthorizationPolicy', spec, head);

test('defaults: ALLOW for the whole namespace, in earnest', () => {
  const { action, selector, targets, rules, dryRun } = policy('{}');
  assert.deepEqual(
    { action, selector, targets, rules, dryRun },
    { action: 'ALLOW', selector: null, targets: [], rules: [], dryRun: false },
  );
});

for (const [value, want] of [
  ['true', true],
  ['T', true],
  ['1', true],
  ['false', false],
  ['F', false],
  ['0', false],
] as const) {
  test(`dry-run: "${value}" is ${want}`, () => {
    assert.equal(policy('{}', `annotations: { istio.io/dry-run: "${value}" }`).dryRun, want);
  });
}

test('a selector without labels means the whole scope, never nothing', () => {
  assert.equal(policy('{ selector: {} }').selector, null);
  assert.equal(policy('{ selector: { matchLabels: {} } }').selector, null);
  assert.deepEqual(policy('{ selector: { matchLabels: { a: b } } }').selector, { a: 'b' });
});

test('the old single target counts like the list', () => {
  assert.deepEqual(policy('{ targetRef: { kind: Service, name: a } }').targets, [{ kind: 'Service', name: 'a' }]);
});

test('every field of a rule is there, empty where nothing was said', () => {
  const [rule] = policy(
    '{ rules: [{ from: [{ source: { namespaces: [a] } }], to: [{ operation: { notPorts: ["80"] } }], when: [{ key: source.ip, values: [10.0.0.1] }] }] }',
  ).rules;
  assert.equal(rule?.from.length, 1);
  const { namespaces, ...others } = rule?.from[0] ?? { namespaces: [] };
  assert.deepEqual(namespaces, ['a']);
  assert.ok(Object.values(others).every((list) => list.length === 0) && Object.keys(others).length === 13);
  assert.deepEqual(rule?.to[0]?.notPorts, ['80']);
  assert.deepEqual(Object.keys(rule?.to[0] ?? {}).length, 8);
  assert.deepEqual(rule?.when, [{ key: 'source.ip', values: ['10.0.0.1'], notValues: [] }]);
});

test('one mistake does not hide the next', () => {
  assert.deepEqual(findingsOf('AuthorizationPolicy', source('principals: ["spiffe://a"], ipBlocks: [x], namespaces: [""]')), [
    `warning WEFT_LIKELY_MISTAKE ${SOURCE}.principals[0]`,
    `error WEFT_FIELD_INVALID ${SOURCE}.ipBlocks[0]`,
    `error WEFT_FIELD_INVALID ${SOURCE}.namespaces[0]`,
  ]);
});
