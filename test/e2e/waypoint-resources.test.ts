import assert from 'node:assert/strict';
import test, { type TestContext } from 'node:test';
import { CRD_FILES, KINDS } from '#control-plane/kinds/list.ts';
import { YamlMesh } from '#control-plane/kinds/yaml-mesh.testing.ts';
import { createResourceParser } from '#control-plane/resources/resource-parser.ts';
import { readCrds } from '#platform/files/crds.ts';
import { keySet, signedToken, signingKey } from '#platform/jwt/signing.testing.ts';
import { waypointConfigFromProto, waypointConfigToProto } from '#protocol/xds/waypoint-config.ts';
import { curl, startApp } from '#waypoint/clients.testing.ts';
import { type Rig, startRig } from '#waypoint/waypoint-rig.testing.ts';

const parser = createResourceParser(KINDS, await readCrds(CRD_FILES));
const KEY = signingKey('ES256');

const SERVICES = ['cart', 'v1', 'v22']
  .map(
    (name) =>
      `{ apiVersion: v1, kind: Service, metadata: { name: ${name}, namespace: shop, labels: { istio.io/use-waypoint: waypoint } }, spec: { selector: { app: ${name} }, ports: [{ name: http, port: 80 }] } }`,
  )
  .join('\n---\n');
const GATEWAY =
  '{ apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: { name: waypoint, namespace: shop }, spec: { gatewayClassName: weft-waypoint, listeners: [{ name: mesh, port: 15008, protocol: HBONE }] } }';

const backend = (name: string) => `backendRefs: [{ name: ${name}, port: 80 }]`;
const RULES = [
  `matches: [{ path: { value: /old } }], filters: [{ type: RequestRedirect, requestRedirect: { path: { type: ReplacePrefixMatch, replacePrefixMatch: /new }, statusCode: 308 } }]`,
  `matches: [{ path: { value: /in } }], filters: [{ type: URLRewrite, urlRewrite: { path: { type: ReplacePrefixMatch, replacePrefixMatch: /out } } }, { type: RequestMirror, requestMirror: { backendRef: { name: v22, port: 80 } } }], ${backend('v1')}`,
  `matches: [{ path: { value: /flaky } }], retry: { codes: [503], backoff: 0s }, ${backend('v1')}`,
  `matches: [{ path: { value: /cors } }], filters: [{ type: CORS, cors: { allowOrigins: ["https://a.example"] } }], ${backend('v1')}`,
  `name: limited, matches: [{ path: { value: /limited } }], ${backend('v1')}`,
  `name: broken, matches: [{ path: { value: /broken } }], ${backend('v1')}`,
  backend('cart'),
];
const ROUTE = `{ apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: { name: r, namespace: shop }, spec: { parentRefs: [{ group: "", kind: Service, name: cart }], rules: [${RULES.map((rule) => `{ ${rule} }`).join()}] } }`;
const TARGET = 'group: gateway.networking.k8s.io, kind: HTTPRoute, name: r';
const LIMIT = `{ apiVersion: weft.dev/v1alpha1, kind: TrafficPolicy, metadata: { name: limit, namespace: shop }, spec: { targetRefs: [{ ${TARGET}, sectionName: limited }], rateLimit: { rules: [{ name: all, limit: { requests: 1, window: 1h } }] } } }`;
const FAULT = `{ apiVersion: weft.dev/v1alpha1, kind: TrafficPolicy, metadata: { name: fault, namespace: shop }, spec: { targetRefs: [{ ${TARGET}, sectionName: broken }], faultInjection: { abort: { httpStatus: 418 } } } }`;
const TOKENS = `{ apiVersion: security.istio.io/v1, kind: RequestAuthentication, metadata: { name: jwt, namespace: shop }, spec: { targetRefs: [{ group: "", kind: Service, name: cart }], jwtRules: [{ issuer: me, jwks: '${keySet(KEY)}' }] } }`;
const POLICY =
  '{ apiVersion: security.istio.io/v1, kind: AuthorizationPolicy, metadata: { name: admin, namespace: shop }, spec: { targetRefs: [{ group: "", kind: Service, name: cart }], action: DENY, rules: [{ from: [{ source: { notRequestPrincipals: ["me/*"] } }], to: [{ operation: { paths: [/admin] } }] }] } }';

/** What is written in YAML, as a waypoint gets it over the wire. */
async function written(t: TestContext): Promise<{ rig: Rig; heard: Record<string, string[]> }> {
  const mesh = new YamlMesh(parser, [GATEWAY, SERVICES, ROUTE, LIMIT, FAULT, TOKENS, POLICY].join('\n---\n'));
  const config = mesh.index.snapshot().waypoints.get('shop/waypoint');
  assert.ok(config !== undefined);
  const rig = await startRig({ random: () => 0 });
  t.after(() => rig.close());
  const heard: Record<string, string[]> = {};
  for (const name of ['cart', 'v1', 'v22']) {
    const paths: string[] = [];
    heard[name] = paths;
    const app = await startApp(t, ({ url }, response) => {
      paths.push(url);
      if (url === '/flaky' && paths.filter((path) => path === url).length === 1) response.statusCode = 503;
      response.end(name);
    });
    rig.endpoints([app.port], {}, name);
  }
  rig.waypoint.configure(waypointConfigFromProto(waypointConfigToProto(config)));
  return { rig, heard };
}

test('W63, W64, config-api 1.8, config-api 6.3: what is written in YAML is what a waypoint does', async (t) => {
  const { rig, heard } = await written(t);
  const status = async (path: string, ...args: string[]) => (await curl(rig.port, path, ...args)).status;
  const redirected = await curl(rig.port, '/old/x', '-H', 'host: a.example');
  assert.deepEqual([redirected.status, /location: (\S+)/.exec(redirected.headers)?.[1]], [308, 'http://a.example/new/x']);
  assert.equal((await curl(rig.port, '/in/x')).body, 'v1');
  assert.equal(await status('/flaky'), 200);
  assert.deepEqual(heard.v1, ['/out/x', '/flaky', '/flaky']);
  assert.match((await curl(rig.port, '/cors', '-H', 'origin: https://a.example')).headers, /access-control-allow-origin: https:/);
  assert.deepEqual([await status('/limited'), await status('/limited')], [200, 429]);
  assert.equal(await status('/broken'), 418);
  assert.equal(await status('/admin'), 403);
  const bearer = (claims: object): string[] => ['-H', `authorization: Bearer ${signedToken(KEY, claims)}`];
  assert.equal(await status('/admin', ...bearer({ iss: 'me', sub: 'x' })), 200);
  assert.equal(await status('/', ...bearer({ iss: 'you', sub: 'x' })), 401);
  assert.deepEqual(heard.v22, ['/out/x']);
});
