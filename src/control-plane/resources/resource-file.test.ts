import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { readCrds } from '#platform/files/crds.ts';
import type { Finding } from './finding.ts';
import { FINDING_CODES } from './finding-codes.ts';
import { CRD_FILES } from './kinds-table.ts';
import { readResourceFile } from './resource-file.ts';
import { createResourceParser } from './resource-parser.ts';

const parser = createResourceParser(await readCrds(CRD_FILES));

function findingsIn(text: string): readonly Finding[] {
  return readResourceFile('a.yaml', text, parser).findings;
}

/** A document of a kind, with `spec` as flow YAML on line 4. */
function documentOf(kind: string, spec: string, name = 'x'): string {
  const group = { Service: 'v1', Pod: 'v1', Namespace: 'v1', WorkloadEntry: 'networking.istio.io/v1' }[kind];
  const security = ['AuthorizationPolicy', 'PeerAuthentication'].includes(kind);
  const apiVersion = group ?? (security ? 'security.istio.io/v1' : 'gateway.networking.k8s.io/v1');
  return `apiVersion: ${apiVersion}\nkind: ${kind}\nmetadata: { name: ${name} }\nspec: ${spec}\n`;
}

const PARENT = 'parentRefs: [{ group: "", kind: Service, name: reviews }]';
const POLICY = 'AuthorizationPolicy';

type Mistake = { name: string; kind: string; spec: string; severity?: 'warning'; at: string; says: RegExp; remedy: RegExp };

/** The numbers are the rows of "Example mistakes" in the configuration reference. */
const mistakes: Mistake[] = [
  {
    name: '1: a Service parent without its group',
    kind: 'HTTPRoute',
    spec: '{ parentRefs: [{ kind: Service, name: reviews }] }',
    at: 'spec.parentRefs[0]',
    says: /core group/,
    remedy: /^add group: ""$/,
  },
  {
    name: '3: a Service backend without port',
    kind: 'HTTPRoute',
    spec: `{ ${PARENT}, rules: [{ backendRefs: [{ name: reviews }] }] }`,
    at: 'spec.rules[0].backendRefs[0].port',
    says: /required/,
    remedy: /add the port of the Service/,
  },
  {
    name: '5: a path without its slash',
    kind: 'HTTPRoute',
    spec: `{ ${PARENT}, rules: [{ matches: [{ path: { value: api/v1 } }] }] }`,
    at: 'spec.rules[0].matches[0].path.value',
    says: /"api\/v1" must begin with \/ for PathPrefix/,
    remedy: /^use \/api\/v1$/,
  },
  {
    name: '6: a star in a prefix',
    kind: 'HTTPRoute',
    severity: 'warning',
    spec: `{ ${PARENT}, rules: [{ matches: [{ path: { value: "/api/*" } }] }] }`,
    at: 'spec.rules[0].matches[0].path.value',
    says: /literal character.*PathPrefix \/api already covers/,
    remedy: /^write \/api$/,
  },
  {
    name: '7: prefix replacement without a prefix',
    kind: 'HTTPRoute',
    spec: `{ ${PARENT}, rules: [{ matches: [{ path: { type: Exact, value: /x } }], filters: [{ type: URLRewrite, urlRewrite: { path: { type: ReplacePrefixMatch, replacePrefixMatch: / } } }] }] }`,
    at: 'spec.rules[0].filters[0]',
    says: /exactly one PathPrefix/,
    remedy: /ReplaceFullPath/,
  },
  {
    name: '8: a redirect with backends',
    kind: 'HTTPRoute',
    spec: `{ ${PARENT}, rules: [{ filters: [{ type: RequestRedirect, requestRedirect: { scheme: https } }], backendRefs: [{ name: a, port: 80 }] }] }`,
    at: 'spec.rules[0].filters[0]',
    says: /answers the request itself/,
    remedy: /remove backendRefs or the filter/,
  },
  {
    name: '9: an attempt that outlasts the request',
    kind: 'HTTPRoute',
    spec: `{ ${PARENT}, rules: [{ timeouts: { request: 1s, backendRequest: 5s } }] }`,
    at: 'spec.rules[0].timeouts.backendRequest',
    says: /5s.*cannot outlast.*1s/,
    remedy: /lower backendRequest/,
  },
  {
    name: '10: a duration with a fraction',
    kind: 'HTTPRoute',
    spec: `{ ${PARENT}, rules: [{ timeouts: { request: 1.5s } }] }`,
    at: 'spec.rules[0].timeouts.request',
    says: /fractions are not allowed/,
    remedy: /^write 1500ms$/,
  },
  {
    name: '15: selector and targetRefs',
    kind: POLICY,
    spec: '{ selector: { matchLabels: { a: b } }, targetRefs: [{ kind: Service, name: x }] }',
    at: 'spec.targetRefs',
    says: /selector and targetRefs exclude one another/,
    remedy: /choose one/,
  },
  {
    name: '18: DENY without rules',
    kind: POLICY,
    spec: '{ action: DENY }',
    at: 'spec.action',
    says: /matches nothing/,
    remedy: /ALLOW policy with an empty spec/,
  },
  {
    name: '19: a principal with spiffe://',
    kind: POLICY,
    spec: '{ rules: [{ from: [{ source: { principals: ["spiffe://cluster.local/ns/a/sa/b"] } }] }] }',
    at: 'spec.rules[0].from[0].source.principals[0]',
    says: /never matches/,
    remedy: /^write cluster.local\/ns\/a\/sa\/b/,
  },
  {
    name: '20: serviceAccounts next to principals',
    kind: POLICY,
    spec: '{ rules: [{ from: [{ source: { principals: [a], serviceAccounts: [a/b] } }] }] }',
    at: 'spec.rules[0].from[0].source.principals',
    says: /cannot be combined/,
    remedy: /two from entries/,
  },
  {
    name: '21: an operator after {**}',
    kind: POLICY,
    spec: '{ rules: [{ to: [{ operation: { paths: ["/a/{**}/b/{*}"] } }] }] }',
    at: 'spec.rules[0].to[0].operation.paths[0]',
    says: /must be the last operator/,
    remedy: /\{\*\*\} once/,
  },
  {
    name: '21: an operator in part of a segment',
    kind: POLICY,
    spec: '{ rules: [{ to: [{ operation: { notPaths: ["/v{*}"] } }] }] }',
    at: 'spec.rules[0].to[0].operation.notPaths[0]',
    says: /whole path segment/,
    remedy: /\{\*\}/,
  },
  {
    name: '22: an attribute misspelt',
    kind: POLICY,
    spec: '{ rules: [{ when: [{ key: "request.header[x]", values: [a] }] }] }',
    at: 'spec.rules[0].when[0].key',
    says: /did you mean "request.headers\[x\]"/,
    remedy: /source.ip.*request.headers/,
  },
  {
    name: '23: an attribute of the past',
    kind: POLICY,
    spec: '{ rules: [{ when: [{ key: "destination.labels[version]", values: [a] }] }] }',
    at: 'spec.rules[0].when[0].key',
    says: /no longer/,
    remedy: /selector/,
  },
  {
    name: '24: CUSTOM without provider',
    kind: POLICY,
    spec: '{ action: CUSTOM, rules: [{}] }',
    at: 'spec.action',
    says: /provider/,
    remedy: /provider.name/,
  },
  {
    name: '25: ports without selector',
    kind: 'PeerAuthentication',
    spec: '{ portLevelMtls: { 8080: { mode: STRICT } } }',
    at: 'spec.portLevelMtls',
    says: /need a selector/,
    remedy: /add spec.selector/,
  },
  {
    name: 'a bad port in a policy rejects it',
    kind: POLICY,
    spec: '{ action: DENY, rules: [{ to: [{ operation: { ports: ["80-90"] } }] }] }',
    at: 'spec.rules[0].to[0].operation.ports[0]',
    says: /"80-90" is not a port/,
    remedy: /1 to 65535/,
  },
  {
    name: 'a bad address in a policy rejects it',
    kind: POLICY,
    spec: '{ rules: [{ from: [{ source: { notIpBlocks: [10.0.0.0/33] } }] }] }',
    at: 'spec.rules[0].from[0].source.notIpBlocks[0]',
    says: /neither an IP address nor a range/,
    remedy: /10.0.0.0\/8/,
  },
  {
    name: 'host bits show the network',
    kind: POLICY,
    severity: 'warning',
    spec: '{ rules: [{ when: [{ key: source.ip, values: [10.1.2.3/8] }] }] }',
    at: 'spec.rules[0].when[0].values[0]',
    says: /10.0.0.0\/8/,
    remedy: /^write 10.0.0.0\/8$/,
  },
  {
    name: 'a method in lower case never matches',
    kind: POLICY,
    spec: '{ rules: [{ to: [{ operation: { methods: [get] } }] }] }',
    at: 'spec.rules[0].to[0].operation.methods[0]',
    says: /upper case/,
    remedy: /^write GET$/,
  },
  {
    name: 'an empty list restricts nothing',
    kind: POLICY,
    spec: '{ rules: [{ from: [{ source: { principals: [] } }] }] }',
    at: 'spec.rules[0].from[0].source.principals',
    says: /restricts nothing/,
    remedy: /at least one value/,
  },
  {
    name: 'an empty source would match everything',
    kind: POLICY,
    spec: '{ rules: [{ from: [{}] }] }',
    at: 'spec.rules[0].from[0]',
    says: /match everything/,
    remedy: /remove the entry/,
  },
  {
    name: 'a target in another namespace',
    kind: POLICY,
    spec: '{ targetRefs: [{ kind: Service, name: x, namespace: other }] }',
    at: 'spec.targetRefs[0].namespace',
    says: /own namespace/,
    remedy: /remove it/,
  },
  {
    name: 'a Gateway target without its group',
    kind: POLICY,
    spec: '{ targetRefs: [{ kind: Gateway, name: x }] }',
    at: 'spec.targetRefs[0].group',
    says: /kind Gateway of group ""/,
    remedy: /group: "gateway.networking.k8s.io"/,
  },
  {
    name: 'an unknown field names the nearest one',
    kind: POLICY,
    spec: '{ rules: [{ to: [{ operation: { method: [GET] } }] }] }',
    at: 'spec.rules[0].to[0].operation.method',
    says: /did you mean "methods"/,
    remedy: /^write methods$/,
  },
  {
    name: 'an unknown field of a kind that Weft reads in part',
    kind: 'Pod',
    severity: 'warning',
    spec: '{ contaners: [] }\nstatus: { podIP: 10.0.0.1 }',
    at: 'spec.contaners',
    says: /did you mean "containers"/,
    remedy: /^write containers$/,
  },
  {
    name: 'an enum value misspelt',
    kind: POLICY,
    spec: '{ action: ALOW }',
    at: 'spec.action',
    says: /"ALOW" is not one of ALLOW, DENY/,
    remedy: /^did you mean ALLOW\?$/,
  },
  {
    name: 'a number where a text is wanted',
    kind: 'Service',
    spec: '{ selector: { version: 1 }, ports: [{ port: 80 }] }',
    at: 'spec.selector.version',
    says: /must be a text, is the number 1/,
    remedy: /^write it in quotes: "1"$/,
  },
  {
    name: 'a text where a number is wanted',
    kind: 'Service',
    spec: '{ selector: { app: a }, ports: [{ port: "80" }] }',
    at: 'spec.ports[0].port',
    says: /must be a whole number, is the text "80"/,
    remedy: /^write 80 without quotes$/,
  },
  {
    name: 'an object where a list is wanted',
    kind: 'Service',
    spec: '{ selector: { app: a }, ports: { port: 80 } }',
    at: 'spec.ports',
    says: /must be a list, is an object/,
    remedy: /"- "/,
  },
  {
    name: 'a port out of range',
    kind: 'Service',
    spec: '{ selector: { app: a }, ports: [{ port: 70000 }] }',
    at: 'spec.ports[0].port',
    says: /70000 must be <= 65535/,
    remedy: /65535/,
  },
  {
    name: 'a quoted port number as targetPort',
    kind: 'Service',
    spec: '{ selector: { app: a }, ports: [{ port: 80, targetPort: "8080" }] }',
    at: 'spec.ports[0].targetPort',
    says: /"8080"/,
    remedy: /^write 8080 without quotes$/,
  },
  {
    name: 'a cluster address that is none',
    kind: 'Service',
    spec: '{ selector: { app: a }, clusterIP: 10.0.0.256, ports: [{ port: 80 }] }',
    at: 'spec.clusterIP',
    says: /not an IP address/,
    remedy: /None for a headless service/,
  },
  {
    name: 'several ports without names',
    kind: 'Service',
    spec: '{ selector: { app: a }, ports: [{ port: 80, name: a }, { port: 81 }] }',
    at: 'spec.ports[1].name',
    says: /each needs a name/,
    remedy: /add a name/,
  },
  {
    name: 'one port twice',
    kind: 'Service',
    spec: '{ selector: { app: a }, ports: [{ port: 80, name: a }, { port: 80, name: b }] }',
    at: 'spec.ports[1]',
    says: /80\/TCP is listed twice/,
    remedy: /remove one/,
  },
  {
    name: 'a service without selector',
    kind: 'Service',
    severity: 'warning',
    spec: '{ ports: [{ port: 80 }] }',
    at: 'spec.selector',
    says: /no endpoints/,
    remedy: /spec.selector/,
  },
  {
    name: 'a pod without address',
    kind: 'Pod',
    severity: 'warning',
    spec: '{ containers: [] }',
    at: 'status',
    says: /no address/,
    remedy: /weft run/,
  },
  {
    name: 'an entry with a mistyped address',
    kind: 'WorkloadEntry',
    spec: '{ address: 10.0.0.256 }',
    at: 'spec.address',
    says: /neither an IP address nor a hostname/,
    remedy: /without a port/,
  },
  {
    name: 'an entry with a unix socket',
    kind: 'WorkloadEntry',
    spec: '{ address: "unix:///run/x" }',
    at: 'spec.address',
    says: /unix socket/,
    remedy: /IP address/,
  },
  {
    name: 'a service account that would change the identity',
    kind: 'WorkloadEntry',
    spec: '{ address: 10.0.0.1, serviceAccount: a/../b }',
    at: 'spec.serviceAccount',
    says: /not the name of a service account/,
    remedy: /bare name/,
  },
  {
    name: 'a pattern beyond RE2',
    kind: 'HTTPRoute',
    spec: `{ ${PARENT}, rules: [{ matches: [{ headers: [{ name: x, type: RegularExpression, value: "(?=a)" }] }] }] }`,
    at: 'spec.rules[0].matches[0].headers[0].value',
    says: /the pattern/,
    remedy: /RE2/,
  },
  {
    name: 'the same parent twice',
    kind: 'HTTPRoute',
    spec: '{ parentRefs: [{ group: "", kind: Service, name: a }, { group: "", kind: Service, name: a }] }',
    at: 'spec.parentRefs[0]',
    says: /more than once/,
    remedy: /sectionName/,
  },
  {
    name: 'two listeners of one name',
    kind: 'Gateway',
    spec: '{ gatewayClassName: a, listeners: [{ name: m, port: 1, protocol: HBONE }, { name: m, port: 2, protocol: HBONE }] }',
    at: 'spec.listeners[1].name',
    says: /two listeners/,
    remedy: /rename/,
  },
  {
    name: 'a listener selector that is missing',
    kind: 'Gateway',
    spec: '{ gatewayClassName: a, listeners: [{ name: m, port: 15008, protocol: HBONE, allowedRoutes: { namespaces: { from: Selector } } }] }',
    at: 'spec.listeners[0].allowedRoutes.namespaces',
    says: /needs a selector/,
    remedy: /matchLabels/,
  },
];

for (const { name, kind, spec, severity = 'error', at, says, remedy } of mistakes) {
  test(`${severity}: ${name}`, () => {
    const findings = findingsIn(documentOf(kind, spec));
    const finding = findings.find(({ fieldPath }) => fieldPath === at);
    assert.ok(finding, `nothing found at ${at}: ${findings.map(({ fieldPath }) => fieldPath).join(', ')}`);
    assert.equal(finding.severity, severity);
    assert.equal(finding.resource, `${kind} default/x`);
    assert.match(finding.message, says);
    assert.match(finding.remedy, remedy);
    assert.ok(finding.line >= 1 && finding.column >= 1);
    assert.ok(Object.hasOwn(FINDING_CODES, finding.code));
  });
}

const heads: { name: string; text: string; want: string }[] = [
  { name: 'no kind', text: 'apiVersion: v1\n', want: 'error WEFT_RESOURCE_SHAPE 1:1' },
  { name: 'a list instead of a resource', text: '- a\n', want: 'error WEFT_RESOURCE_SHAPE 1:1' },
  { name: 'no name', text: 'apiVersion: v1\nkind: Service\nmetadata: { labels: {} }\nspec: {}\n', want: 'error WEFT_FIELD_INVALID 3:11' },
  { name: 'a name that is no name', text: documentOf('Service', '{}', 'A/B'), want: 'error WEFT_FIELD_INVALID 3:19' },
  { name: 'an unknown kind is a warning', text: 'apiVersion: apps/v1\nkind: Deployment\n', want: 'warning WEFT_KIND_UNKNOWN 2:7' },
  { name: 'a kind misspelt', text: 'apiVersion: v1\nkind: Servce\n', want: 'warning WEFT_KIND_UNKNOWN 2:7' },
  { name: 'a kind of another group', text: 'apiVersion: networking.istio.io/v1\nkind: Gateway\n', want: 'warning WEFT_KIND_UNKNOWN 2:7' },
  {
    name: 'an unknown version',
    text: 'apiVersion: security.istio.io/v2\nkind: AuthorizationPolicy\nmetadata: { name: x }\n',
    want: 'error WEFT_VERSION_UNKNOWN 1:13',
  },
  { name: 'broken YAML', text: 'a: [\n', want: 'error WEFT_YAML_SYNTAX 2:1' },
];
for (const { name, text, want } of heads) {
  test(`head: ${name}`, () => {
    const [first] = findingsIn(text);
    assert.equal(first && `${first.severity} ${first.code} ${first.line}:${first.column}`, want);
  });
}

test('a broken document is rejected alone', () => {
  const good = documentOf('Service', '{ selector: { app: a }, ports: [{ port: 80 }] }', 'good');
  const bad = documentOf('Service', '{ selector: { app: a }, ports: [{ port: x }] }', 'bad');
  const { entries } = readResourceFile('a.yaml', [good, 'a: "\n', bad, good.replace('good', 'last')].join('---\n'), parser);
  assert.deepEqual(
    entries.map(({ name, resource, line }) => [name, resource !== null, line]),
    [
      ['Service default/good', true, 1],
      [null, false, 6],
      ['Service default/bad', false, 8],
      ['Service default/last', true, 13],
    ],
  );
});

test('findings of an item of a List have the path inside the item and its place in the file', () => {
  const list = 'apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Service\n  metadata: { name: a }\n  spec: { ports: x }\n';
  const [finding] = findingsIn(list);
  assert.equal(finding && `${finding.fieldPath} ${finding.line}:${finding.column}`, 'spec.ports 7:18');
});

test('the namespace is default when none is written; a Namespace has none', () => {
  const text = [documentOf('Namespace', '{}', 'shop'), documentOf('PeerAuthentication', '{}', 'p')].join('---\n');
  const { entries } = readResourceFile('a.yaml', text, parser);
  assert.deepEqual(
    entries.map(({ name }) => name),
    ['Namespace shop', 'PeerAuthentication default/p'],
  );
});

test('defaults of the schema are filled in', () => {
  const { entries } = readResourceFile('a.yaml', documentOf('HTTPRoute', `{ ${PARENT} }`), parser);
  const [route] = entries.map(({ resource }) => resource);
  assert.ok(route?.kind === 'HTTPRoute');
  assert.deepEqual(route.rules[0]?.matches, [{ path: { type: 'prefix', value: '/' }, method: null, headers: [], queryParams: [] }]);
});

test('no document makes it throw', () => {
  const value = fc.jsonValue();
  const documents = fc.record({
    apiVersion: fc.constantFrom('v1', 'security.istio.io/v1', 'gateway.networking.k8s.io/v1', 'networking.istio.io/v1'),
    kind: fc.constantFrom('Service', 'Pod', 'Namespace', 'AuthorizationPolicy', 'PeerAuthentication', 'Gateway', 'HTTPRoute', 'WorkloadEntry'),
    metadata: fc.oneof(fc.constant({ name: 'x' }), value),
    spec: fc.oneof(value, fc.record({ rules: fc.array(value), selector: value, ports: fc.array(value), targetRefs: value })),
  });
  fc.assert(fc.property(documents, (document) => void parser.read(JSON.parse(JSON.stringify(document)))));
});
