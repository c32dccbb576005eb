import assert from 'node:assert/strict';
import type { ServerResponse } from 'node:http';
import test, { type TestContext } from 'node:test';
import { CRD_FILES, KINDS } from '#control-plane/kinds/list.ts';
import { YamlMesh } from '#control-plane/kinds/yaml-mesh.testing.ts';
import { createResourceParser } from '#control-plane/resources/resource-parser.ts';
import { readCrds } from '#platform/files/crds.ts';
import { waypointConfigFromProto, waypointConfigToProto } from '#protocol/xds/waypoint-config.ts';
import { type EnvoyService, envoyPrograms, startEnvoyService } from '#testbed/envoy/programs.ts';
import { type App, type Curled, curl, type Heard, startApp } from '#waypoint/clients.testing.ts';
import { type Rig, startRig, until, VIP, WAYPOINT_IDENTITY } from '#waypoint/waypoint-rig.testing.ts';

const PROGRAMS = await envoyPrograms();
const SKIP = PROGRAMS === null ? 'THE AUTHORIZER OF ENVOY’S DEFINITIONS IS NOT TESTED AGAINST: it cannot be built here' : false;
const parser = createResourceParser(KINDS, await readCrds(CRD_FILES));

const GATEWAY =
  '{ apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: { name: waypoint, namespace: shop }, spec: { gatewayClassName: weft-waypoint, listeners: [{ name: mesh, port: 15008, protocol: HBONE }] } }';
const service = (name: string, vip: string, targetPort: number, label = '') =>
  `{ apiVersion: v1, kind: Service, metadata: { name: ${name}, namespace: shop, labels: { ${label} } }, spec: { clusterIP: ${vip}, selector: { app: ${name} }, ports: [{ name: http, port: 80, targetPort: ${targetPort} }] } }`;
const policy = (name: string, provider: string, paths: string) =>
  `{ apiVersion: security.istio.io/v1, kind: AuthorizationPolicy, metadata: { name: ${name}, namespace: shop }, spec: { targetRefs: [{ kind: Service, group: "", name: cart }], action: CUSTOM, provider: { name: ${provider} }, rules: [{ to: [{ operation: { paths: [${paths}] } }] }] } }`;
const meshConfig = (more = '') => `
apiVersion: v1
kind: ConfigMap
metadata: { name: istio, namespace: istio-system }
data:
  mesh: |
    extensionProviders:
    - name: by-grpc
      envoyExtAuthzGrpc: { service: grpc-authz.shop.svc.cluster.local, port: 80, timeout: 2s, includeRequestBodyInCheck: { maxRequestBytes: 8, allowPartialMessage: true } ${more} }
    - name: by-http
      envoyExtAuthzHttp:
        service: shop/http-authz.shop.svc.cluster.local
        port: 80
        pathPrefix: /check
        includeRequestHeadersInCheck: [x-user]
        headersToUpstreamOnAllow: [x-user, authorization]
`;

type Mesh = { rig: Rig; app: App; mesh: YamlMesh; bring(): void };

/** All there is of a mesh, from its documents to sockets: as it comes over the wire. */
async function startMesh(t: TestContext, grpcPort: number, httpPort: number): Promise<Mesh> {
  const app = await startApp(t, (_, response) => void response.end('from the app'));
  const documents = [
    GATEWAY,
    service('cart', VIP, app.port, 'istio.io/use-waypoint: waypoint'),
    service('grpc-authz', '10.96.0.21', grpcPort),
    service('http-authz', '10.96.0.22', httpPort),
    policy('grpc', 'by-grpc', '"/allowed*", "/denied", "/broken", "/slow", "/empty"'),
    policy('http', 'by-http', '"/web*"'),
    meshConfig(),
  ];
  const mesh = new YamlMesh(parser, documents.join('\n---\n'));
  const workload = (name: string, address: string) => ({ name, addresses: [address], labels: { app: name } });
  // That of the gRPC service is on another node: asked through a tunnel, by the waypoint's own identity.
  mesh.register('one', workload('cart', '127.0.0.1'), workload('http-authz', '127.0.0.2'));
  mesh.register('two', workload('grpc-authz', '127.0.0.3'));
  const rig = await startRig();
  t.after(() => rig.close());
  const bring = (): void => {
    const { workloads, services, waypoints } = mesh.index.snapshot();
    rig.waypoint.meshChanged(rig.mesh.apply({ workloads, services, policies: new Map() }));
    const config = waypoints.get('shop/waypoint');
    assert.ok(config !== undefined);
    rig.waypoint.configure(waypointConfigFromProto(waypointConfigToProto(config)));
  };
  bring();
  return { rig, app, mesh, bring };
}

async function startAuthorizer(t: TestContext): Promise<{ authorizer: EnvoyService; port: number }> {
  const authorizer = startEnvoyService([`${PROGRAMS}/authorizer`, '127.0.0.3:0']);
  t.after(() => authorizer.stop());
  await until(() => authorizer.told.length > 0);
  return { authorizer, port: Number(authorizer.told[0]?.port) };
}

const short = ({ status, body }: Curled) => `${status} ${body}`;

test('W67: CUSTOM policies ask authorizers of a mesh configuration, by gRPC from Envoy’s definitions and by HTTP', {
  skip: SKIP,
}, async (t) => {
  const { authorizer, port } = await startAuthorizer(t);
  const answers = (heard: Heard, response: ServerResponse): void => {
    if (heard.headers['x-user'] === 'alice') response.setHeader('authorization', 'Bearer made').end();
    else response.writeHead(302, { location: 'https://login.example/' }).end();
  };
  const web = await startApp(t, answers, '127.0.0.2');
  const { rig, app, mesh, bring } = await startMesh(t, port, web.port);
  const get = (path: string, ...args: string[]) => curl(rig.port, path, ...args);
  const asked = () => authorizer.told.filter(({ event }) => event === 'asked');

  const allowed = await get(
    '/allowed?x=1',
    '-H',
    'x-user: mallory',
    '-H',
    'authorization: secret',
    '-d',
    '0123456789',
    '-H',
    'host: cart',
  );
  assert.deepEqual([short(allowed), /x-quota: 7/i.test(allowed.headers)], ['200 from the app', true]);
  const heard = app.heard.at(-1);
  assert.deepEqual([heard?.headers['x-user'], heard?.headers.authorization, heard?.body], ['alice', undefined, '0123456789']);
  const [question] = asked();
  assert.deepEqual(
    [question?.principal, question?.source, question?.port, question?.method, question?.path, question?.host],
    ['spiffe://cluster.local/ns/web/sa/front', '10.0.0.7', 80, 'POST', '/allowed?x=1', 'cart'],
  );
  assert.deepEqual([question?.user, question?.body, question?.raw], ['mallory', '01234567', '']);
  assert.equal(rig.tunnels[0]?.target.source, WAYPOINT_IDENTITY);
  assert.match(rig.tunnels[0]?.request.authority ?? '', /^127\.0\.0\.3:/);

  const denied = await get('/denied');
  assert.deepEqual([short(denied), /x-why: because/i.test(denied.headers)], ['423 {"no":1}', true]);
  assert.deepEqual([short(await get('/empty')), short(await get('/broken'))], ['200 from the app', '403 ']);
  assert.equal(asked().length, 4);
  const before = asked().length;
  assert.deepEqual([short(await get('/free')), asked().length], ['200 from the app', before]);

  const slow = get('/slow');
  await until(() => asked().length === before + 1);
  rig.clock.advance(2_000);
  assert.equal(short(await slow), '403 ');
  // The deadline went with the call, and the withdrawal of it.
  await until(() => authorizer.told.some(({ event }) => event === 'given up'));

  assert.equal((await get('/web', '-H', 'x-user: bob')).status, 302);
  assert.match((await get('/web')).headers, /location: https:\/\/login\.example\//i);
  assert.equal(short(await get('/web?a=b', '-H', 'x-user: alice')), '200 from the app');
  assert.deepEqual([web.heard.at(-1)?.url, app.heard.at(-1)?.headers.authorization], ['/check/web?a=b', 'Bearer made']);

  // Down: closed, until the mesh configuration says otherwise; then its service leaves the mesh.
  await authorizer.stop();
  assert.equal(short(await get('/allowed')), '403 ');
  mesh.apply(meshConfig(', failOpen: true'));
  bring();
  assert.equal(short(await get('/allowed')), '200 from the app');
  mesh.remove('Service shop/grpc-authz');
  bring();
  assert.equal(short(await get('/allowed')), '403 RBAC: access denied');
  assert.match(mesh.problems('AuthorizationPolicy shop/grpc').join(), /is not in the mesh; until then every request/);
  const counted = rig.waypoint.meters.collect().find(({ name }) => name === 'weft_external_authorizations_total')?.series ?? [];
  assert.deepEqual(counted.map(({ labels, value }) => `${labels.provider} ${labels.answer} ${value}`).toSorted(), [
    'by-grpc allow 2',
    'by-grpc deny 1',
    'by-grpc error 3',
    'by-grpc failed-open 1',
    'by-http allow 1',
    'by-http deny 2',
  ]);
});
