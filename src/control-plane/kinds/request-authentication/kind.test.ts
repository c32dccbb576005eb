import assert from 'node:assert/strict';
import test from 'node:test';
import { type Mistake, readSpec, testAccepted, testMistakes } from '#control-plane/kinds/documents.testing.ts';
import { CRD_FILES, KINDS } from '#control-plane/kinds/list.ts';
import { YamlMesh } from '#control-plane/kinds/yaml-mesh.testing.ts';
import { createResourceParser } from '#control-plane/resources/resource-parser.ts';
import { readCrds } from '#platform/files/crds.ts';
import type { RequestAuthenticationResource } from './schema.ts';

const parser = createResourceParser(KINDS, await readCrds(CRD_FILES));
const TARGET = 'targetRefs: [{ group: "", kind: Service, name: cart }]';
const JWKS = `jwks: '{ "keys": [{ "kty": "EC", "crv": "P-256", "x": "a", "y": "b" }] }'`;
const rule = (text: string) => `{ ${TARGET}, jwtRules: [{ ${text} }] }`;
const AT = 'spec.jwtRules[0]';

const mistakes: Mistake[] = [
  {
    name: '26: both sorts of keys',
    spec: rule(`issuer: a, ${JWKS}, jwksUri: "https://a/keys"`),
    at: AT,
    says: /exclude one another/,
    remedy: /keep one/,
  },
  {
    name: '26: a private key',
    spec: rule(`issuer: a, jwks: '{ "keys": [{ "kty": "EC", "d": "secret-part" }] }'`),
    at: `${AT}.jwks`,
    says: /private key is in jwks \(fields d\)(?!.*secret-part)/,
    remedy: /public part/,
  },
  { name: 'no key set', spec: rule('issuer: a, jwks: nonsense'), at: `${AT}.jwks`, says: /no JSON Web Key Set/, remedy: /keys/ },
  { name: 'no issuer', spec: rule(JWKS), at: `${AT}.issuer`, says: /whose tokens/, remedy: /add issuer/ },
  {
    name: 'keys of a metadata service',
    severity: 'warning',
    spec: rule('issuer: a, jwksUri: "http://169.254.169.254/keys"'),
    at: `${AT}.jwksUri`,
    says: /not fetched from http:\/\/169.254.169.254\/keys: its address is link-local; every token/,
    remedy: /correct jwksUri/,
  },
  {
    name: 'keys behind a password',
    severity: 'warning',
    spec: rule('issuer: a, jwksUri: "https://me:secret@a/keys"'),
    at: `${AT}.jwksUri`,
    says: /^(?!.*secret).*an address with a password/,
    remedy: /correct jwksUri/,
  },
  {
    name: 'no keys, and an issuer that is no address',
    severity: 'warning',
    spec: rule('issuer: a'),
    at: `${AT}.jwksUri`,
    says: /no keys, and the issuer cannot be asked.*every token/,
    remedy: /write jwksUri/,
  },
  {
    name: 'a time-out that is none',
    spec: rule('issuer: a, jwksUri: "https://a/keys", timeout: soon'),
    at: `${AT}.timeout`,
    says: /no time that fetching/,
    remedy: /5s/,
  },
  {
    name: 'a header that frames',
    spec: rule(`issuer: a, ${JWKS}, outputClaimToHeaders: [{ header: Content-Length, claim: sub }]`),
    at: `${AT}.outputClaimToHeaders[0].header`,
    says: /cannot be set by a token/,
    remedy: /another name/,
  },
  {
    name: 'a payload header that is none',
    spec: rule(`issuer: a, ${JWKS}, outputPayloadToHeader: "a b"`),
    at: `${AT}.outputPayloadToHeader`,
    says: /cannot be set/,
    remedy: /another/,
  },
  {
    name: 'no target',
    severity: 'warning',
    spec: `{ jwtRules: [{ issuer: a, ${JWKS} }] }`,
    at: 'spec',
    says: /nothing looks at tokens/,
    remedy: /add targetRefs/,
  },
  {
    name: 'a target of another kind',
    spec: '{ targetRefs: [{ group: gateway.networking.k8s.io, kind: HTTPRoute, name: r }] }',
    at: 'spec.targetRefs[0].kind',
    says: /cannot be attached to a HTTPRoute/,
    remedy: /Service, a ServiceEntry or a Gateway/,
  },
  {
    name: 'a target elsewhere',
    spec: '{ targetRefs: [{ group: "", kind: Service, name: a, namespace: far }] }',
    at: 'spec.targetRefs[0].namespace',
    says: /namespace far/,
    remedy: /move the policy/,
  },
];
testMistakes('RequestAuthentication', mistakes);

const WHOLE = rule(
  `issuer: a, audiences: [b], ${JWKS}, fromHeaders: [{ name: X-Jwt, prefix: "Tok " }], fromParams: [t], fromCookies: [c], forwardOriginalToken: true, outputPayloadToHeader: x-p, outputClaimToHeaders: [{ header: x-s, claim: sub }], spaceDelimitedClaims: [roles]`,
);
testAccepted('RequestAuthentication', { 'a whole policy': WHOLE });

test('config-api 3.9: a rule is read; places that are written replace the usual ones', () => {
  const [whole] = readSpec<RequestAuthenticationResource>('RequestAuthentication', WHOLE).rules;
  assert.deepEqual(whole?.locations, [
    { in: 'header', name: 'x-jwt', prefix: 'Tok ' },
    { in: 'query', name: 't' },
    { in: 'cookie', name: 'c' },
  ]);
  assert.deepEqual(
    [whole?.forward, whole?.payloadHeader, whole?.audiences, whole?.spaceDelimitedClaims],
    [true, 'x-p', ['b'], ['roles']],
  );
  const [plain] = readSpec<RequestAuthenticationResource>('RequestAuthentication', rule(`issuer: a, ${JWKS}`)).rules;
  assert.deepEqual(plain?.locations, [
    { in: 'header', name: 'authorization', prefix: 'Bearer ' },
    { in: 'query', name: 'access_token' },
  ]);
});

const MESH = `apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: way, namespace: shop }
spec: { gatewayClassName: weft-waypoint, listeners: [{ name: mesh, port: 15008, protocol: HBONE }] }
---
{ apiVersion: v1, kind: Service, metadata: { name: cart, namespace: shop, labels: { istio.io/use-waypoint: way } }, spec: { selector: { app: a }, ports: [{ port: 80 }] } }
---
{ apiVersion: v1, kind: Service, metadata: { name: other, namespace: shop, labels: { istio.io/use-waypoint: way } }, spec: { selector: { app: a }, ports: [{ port: 80 }] } }
---
{ apiVersion: v1, kind: Service, metadata: { name: plain, namespace: shop }, spec: { selector: { app: a }, ports: [{ port: 80 }] } }
---
`;

function policy(name: string, target: string, issuer: string, keys = JWKS): string {
  return `{ apiVersion: security.istio.io/v1, kind: RequestAuthentication, metadata: { name: ${name}, namespace: shop }, spec: { targetRefs: [{ ${target} }], jwtRules: [{ issuer: ${issuer}, ${keys} }] } }\n---\n`;
}

/** `service: issuers`. */
function issuersOf(mesh: YamlMesh): string[] {
  const services = mesh.index.snapshot().waypoints.get('shop/way')?.services ?? [];
  return services.map(
    ({ key, authentication }) => `${key.split('.')[0]}: ${authentication?.map(({ issuer }) => issuer).join() ?? '-'}`,
  );
}

const CART = 'group: "", kind: Service, name: cart';
const GATEWAY = 'group: gateway.networking.k8s.io, kind: Gateway, name: way';

test('config-api 3.9: rules of all policies about a service are one pool, sorted by issuer', () => {
  const mesh = new YamlMesh(parser, MESH + policy('p', CART, 'z') + policy('q', GATEWAY, 'm'));
  assert.deepEqual(issuersOf(mesh), ['shop/cart: m,z', 'shop/other: m']);
  assert.deepEqual(mesh.conditions('RequestAuthentication shop/p'), ['WaypointAccepted True Accepted']);
  mesh.remove('RequestAuthentication shop/q');
  assert.deepEqual(issuersOf(mesh), ['shop/cart: z', 'shop/other: -']);
});

const SOURCES: { name: string; keys: string; issuer?: string; want: object | undefined }[] = [
  { name: 'written ones', keys: JWKS, want: undefined },
  {
    name: 'an address',
    keys: 'jwksUri: "https://a/keys"',
    want: { kind: 'jwks', url: 'https://a/keys', timeoutMs: 5_000 },
  },
  {
    name: 'an address, by its other name, and a time-out',
    keys: 'jwks_uri: "http://a/keys", timeout: 1.5s',
    want: { kind: 'jwks', url: 'http://a/keys', timeoutMs: 1_500 },
  },
  {
    name: 'what the issuer says',
    keys: 'audiences: [x]',
    issuer: 'https://me/',
    want: { kind: 'issuer', url: 'https://me/', timeoutMs: 5_000 },
  },
  {
    name: 'a time-out of an hour',
    keys: 'jwksUri: "https://a", timeout: 1h',
    want: { kind: 'jwks', url: 'https://a', timeoutMs: 60_000 },
  },
  { name: 'a metadata service', keys: 'jwksUri: "http://169.254.169.254/keys"', want: undefined },
  { name: 'an issuer that is no address', keys: 'audiences: [x]', want: undefined },
];
for (const { name, keys, issuer = 'a', want } of SOURCES)
  test(`config-api 3.9: keys from ${name}`, () => {
    const mesh = new YamlMesh(parser, MESH + policy('p', CART, issuer, keys));
    const [rule] = mesh.index.snapshot().waypoints.get('shop/way')?.services[0]?.authentication ?? [];
    assert.deepEqual([rule?.jwks === null, rule?.jwksFrom], [keys !== JWKS, want]);
  });

const misses: { target: string; reason: string }[] = [
  { target: 'group: "", kind: Service, name: crt', reason: 'TargetNotFound' },
  { target: 'group: "", kind: Service, name: plain', reason: 'AncestorNotBound' },
  { target: 'group: gateway.networking.k8s.io, kind: Gateway, name: wy', reason: 'TargetNotFound' },
];
for (const { target, reason } of misses)
  test(`config-api 3.9: nobody enforces it: ${target}`, () => {
    const mesh = new YamlMesh(parser, MESH + policy('p', target, 'a'));
    assert.deepEqual(mesh.conditions('RequestAuthentication shop/p'), [`WaypointAccepted False ${reason}`]);
    assert.equal(mesh.problems('RequestAuthentication shop/p').length, 1);
  });
