import assert from 'node:assert/strict';
import test from 'node:test';
import { parser } from '#control-plane/kinds/documents.testing.ts';
import type { AuthorizerSpec } from '#control-plane/mesh/authorizers.ts';
import type { Resource } from '#control-plane/resources/resource.ts';
import { WAYPOINT } from '#model/settings/waypoints.ts';

type ConfigMapResource = Resource & { authorizers: AuthorizerSpec[] };

/** What comes of a mesh configuration: its resource, or null, and its problems in short. */
function read(mesh: string, name = 'istio'): { resource: ConfigMapResource | null; problems: string[] } {
  const metadata = { name, namespace: 'istio-system' };
  const reading = parser.read({ apiVersion: 'v1', kind: 'ConfigMap', metadata, data: { mesh } });
  const problems = reading.problems.map(({ severity, code, message }) => `${severity} ${code} ${message}`);
  return { resource: reading.kind === 'resource' ? (reading.resource as ConfigMapResource) : null, problems };
}

const http = (fields: string) => `extensionProviders: [{ name: a, envoyExtAuthzHttp: { service: a.b.c, port: 80, ${fields} } }]`;

test('config-api 5.4: a provider by HTTP has what Istio gives it', () => {
  const bare = read(http('')).resource?.authorizers[0];
  assert.deepEqual(bare, {
    ...{
      name: 'a',
      host: 'a.b.c',
      namespace: null,
      port: 80,
      timeoutMs: 600_000,
      failOpen: false,
      statusOnError: 403,
      body: null,
    },
    http: { pathPrefix: '', sentHeaders: [], addedHeaders: [], toUpstream: [], toClientOnDeny: [], toClientOnAllow: [] },
  });
  const { resource, problems } = read(`
extensionProviders:
- name: all
  envoyExtAuthzHttp:
    service: ns/Authz.Example
    port: 8000
    timeout: 1.5s
    pathPrefix: /check
    failOpen: true
    statusOnError: "503"
    clearRouteCache: true
    includeRequestHeadersInCheck: [X-User, x-t-*, "*-id"]
    includeAdditionalHeadersInCheck: { X-Added: by us }
    includeRequestBodyInCheck: { maxRequestBytes: 1024, allowPartialMessage: true, packAsBytes: true }
    headersToUpstreamOnAllow: [x-up]
    headersToDownstreamOnDeny: [x-down]
    headersToDownstreamOnAllow: [x-ok]
`);
  assert.deepEqual(problems, []);
  assert.deepEqual(resource?.authorizers, [
    {
      ...{
        name: 'all',
        host: 'authz.example',
        namespace: 'ns',
        port: 8_000,
        timeoutMs: 1_500,
        failOpen: true,
        statusOnError: 503,
      },
      body: { bytesMax: 1_024, allowPartial: true, asBytes: true },
      http: {
        pathPrefix: '/check',
        sentHeaders: ['x-user', 'x-t-*', '*-id'],
        addedHeaders: [{ name: 'x-added', value: 'by us' }],
        ...{ toUpstream: ['x-up'], toClientOnDeny: ['x-down'], toClientOnAllow: ['x-ok'] },
      },
    },
  ]);
});

test('config-api 5.4: a provider by gRPC', () => {
  const { resource } = read('extensionProviders: [{ name: g, envoyExtAuthzGrpc: { service: a.b, port: "9000", timeout: 2s } }]');
  const [found] = resource?.authorizers ?? [];
  assert.deepEqual([found?.port, found?.timeoutMs, found?.http], [9_000, 2_000, null]);
});

const WRONG: { name: string; mesh: string; says: RegExp }[] = [
  { name: 'no YAML', mesh: 'a: [', says: /no YAML/ },
  { name: 'no object', mesh: 'text', says: /no mesh configuration/ },
  { name: 'providers that are no list', mesh: 'extensionProviders: {}', says: /no list/ },
  {
    name: 'a provider without name',
    mesh: 'extensionProviders: [{ envoyExtAuthzGrpc: { service: a.b, port: 1 } }]',
    says: /\.name: it is required/,
  },
  {
    name: 'no service',
    mesh: 'extensionProviders: [{ name: a, envoyExtAuthzGrpc: { port: 1 } }]',
    says: /envoyExtAuthzGrpc\.service: it is required/,
  },
  {
    name: 'no port',
    mesh: 'extensionProviders: [{ name: a, envoyExtAuthzGrpc: { service: a.b } }]',
    says: /\.port: it is required/,
  },
  { name: 'a port too high', mesh: http('').replace('80', '80000'), says: /\.port: 80000 is not a number from 1 to 65535/ },
  {
    name: 'both ways',
    mesh: http('').replace('name: a,', 'name: a, envoyExtAuthzGrpc: { service: a.b, port: 1 },'),
    says: /excludes envoyExtAuthzGrpc/,
  },
  { name: 'a misspelt field', mesh: http('failopen: true'), says: /failopen: there is no such field \(did you mean failOpen/ },
  { name: 'a time-out of nothing', mesh: http('timeout: 0s'), says: /timeout: "0s" is no duration/ },
  { name: 'a status that allows', mesh: http('statusOnError: "200"'), says: /not a number from 400 to 599/ },
  { name: 'failOpen as a word', mesh: http('failOpen: "yes"'), says: /neither true nor false/ },
  { name: 'a prefix that is no path', mesh: http('pathPrefix: check'), says: /no path/ },
  { name: 'a header that is none', mesh: http('headersToUpstreamOnAllow: ["a b"]'), says: /"a b" names no header/ },
  { name: 'a value that is none', mesh: http('includeAdditionalHeadersInCheck: { a: "b\\nc" }'), says: /cannot be a header/ },
  { name: 'a body without bound', mesh: http('includeRequestBodyInCheck: {}'), says: /maxRequestBytes: it is required/ },
  {
    name: 'a body too large',
    mesh: http(`includeRequestBodyInCheck: { maxRequestBytes: ${WAYPOINT.shownBodyBytesMax + 1} }`),
    says: /not a number from 1 to 1048576/,
  },
  {
    name: 'one name twice',
    mesh: 'extensionProviders: [{ name: a, envoyExtAuthzGrpc: { service: a.b, port: 1 } }, { name: a, prometheus: {} }]',
    says: /two providers are called "a"/,
  },
];
for (const { name, mesh, says } of WRONG) {
  test(`config-api 5.4: refused: ${name}`, () => {
    const { resource, problems } = read(mesh);
    assert.equal(resource, null);
    assert.match(problems.join('\n'), /^error WEFT_FIELD_INVALID/m);
    assert.match(problems.join('\n'), says);
  });
}

test('config-api 5.2: what else a mesh configuration says is told, and what is no mesh configuration is not read', () => {
  const { resource, problems } = read(
    'trustDomain: a\nextensionProviders: [{ name: otel, opentelemetry: { service: a.b, port: 1 } }]',
  );
  assert.deepEqual(resource?.authorizers, []);
  assert.deepEqual(problems, [
    'warning WEFT_FIELD_IGNORED extensionProviders[0].opentelemetry: no waypoint uses it',
    'warning WEFT_FIELD_IGNORED trustDomain: these have no effect here',
  ]);
  assert.deepEqual(read('a: [', 'other').problems, []);
  assert.deepEqual(read('').problems, []);
});
