import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import test, { type TestContext } from 'node:test';
import { CRD_FILES, KINDS } from '#control-plane/kinds/list.ts';
import { YamlMesh } from '#control-plane/kinds/yaml-mesh.testing.ts';
import { createResourceParser } from '#control-plane/resources/resource-parser.ts';
import { readCrds } from '#platform/files/crds.ts';
import { waypointConfigFromProto, waypointConfigToProto } from '#protocol/xds/waypoint-config.ts';
import { curl } from '#waypoint/clients.testing.ts';
import { type Rig, startRig, until, VIP } from '#waypoint/waypoint-rig.testing.ts';

const parser = createResourceParser(KINDS, await readCrds(CRD_FILES));

const GATEWAY =
  '{ apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: { name: waypoint, namespace: shop }, spec: { gatewayClassName: weft-waypoint, listeners: [{ name: mesh, port: 15008, protocol: HBONE }] } }';
const service = (targetPort: number) =>
  `{ apiVersion: v1, kind: Service, metadata: { name: cart, namespace: shop, labels: { istio.io/use-waypoint: waypoint } }, spec: { clusterIP: ${VIP}, selector: { app: cart }, ports: [{ name: http, port: 80, targetPort: ${targetPort} }] } }`;
const RULE =
  '{ apiVersion: networking.istio.io/v1, kind: DestinationRule, metadata: { name: cart, namespace: shop }, spec: { host: cart, subsets: [{ name: v1, labels: { version: v1 } }, { name: v2, labels: { version: v2 } }, { name: v3, labels: { version: v3 } }] } }';

const to = (subset: string, weight = 1) => `{ destination: { host: cart, subset: ${subset} }, weight: ${weight} }`;
const ROUTES = [
  `match: [{ headers: { end-user: { exact: jason } } }], route: [${to('v2')}]`,
  `match: [{ uri: { prefix: /broken } }], fault: { abort: { httpStatus: 418, percentage: { value: 100 } } }, route: [${to('v1')}]`,
  `match: [{ uri: { prefix: /late } }], fault: { delay: { fixedDelay: 7s, percentage: { value: 100 } } }, route: [${to('v1')}]`,
  `match: [{ uri: { prefix: /flaky } }], retries: { attempts: 2, retryOn: "503", backoff: 1ms }, route: [${to('v1')}]`,
  `match: [{ uri: { prefix: /once } }], retries: { attempts: 0 }, route: [${to('v1')}]`,
  `match: [{ uri: { prefix: /v1/ } }], rewrite: { uri: / }, route: [${to('v1')}]`,
  'match: [{ uri: { exact: /HERE }, ignoreUriCase: true }], directResponse: { status: 203, body: { string: here } }, headers: { response: { set: { x-by: route } } }',
  `match: [{ uri: { prefix: /none } }], route: [${to('v3')}]`,
  `match: [{ uri: { prefix: /nowhere } }], route: [${to('v4')}]`,
  `match: [{ method: { exact: GET } }], route: [${to('v1', 75)}, ${to('v2', 25)}]`,
].map((rule) => `{ ${rule} }`);
const VIRTUAL = `{ apiVersion: networking.istio.io/v1, kind: VirtualService, metadata: { name: cart, namespace: shop }, spec: { hosts: [cart], http: [${ROUTES.join()}] } }`;

type Heard = { at: string; url: string };

/** The same port of two addresses, since a service has one target port; each request is written down. */
async function startApps(t: TestContext, heard: Heard[]): Promise<number> {
  let port = 0;
  for (const address of ['127.0.0.1', '127.0.0.2']) {
    const server = http.createServer((request, response) => {
      const url = request.url ?? '';
      heard.push({ at: address, url });
      const fails = url === '/once' || (url === '/flaky' && heard.filter((one) => one.url === url).length < 3);
      response.writeHead(fails ? 503 : 200).end(address);
    });
    server.listen(port, address);
    await once(server, 'listening');
    port = (server.address() as AddressInfo).port;
    t.after(() => {
      server.closeAllConnections();
      server.close();
    });
  }
  return port;
}

/** Registers the two pods with these versions, and brings all there is to the waypoint, as it comes over the wire. */
function bring(mesh: YamlMesh, rig: Rig, versions: readonly [string, string]): void {
  const pods = versions.map((version, at) => {
    const addresses = [`127.0.0.${at + 1}`];
    return { name: `cart-${at + 1}`, addresses, labels: { app: 'cart', version } };
  });
  mesh.register('alpha', ...pods);
  const { workloads, services, waypoints } = mesh.index.snapshot();
  rig.waypoint.meshChanged(rig.mesh.apply({ workloads, services, policies: new Map() }));
  const config = waypoints.get('shop/waypoint');
  assert.ok(config !== undefined);
  rig.waypoint.configure(waypointConfigFromProto(waypointConfigToProto(config)));
}

test('config-api 4.3, config-api 4.4: subsets, weights, matches, retries and faults of a VirtualService, over sockets', async (t) => {
  const heard: Heard[] = [];
  const port = await startApps(t, heard);
  const mesh = new YamlMesh(parser, [GATEWAY, service(port), RULE, VIRTUAL].join('\n---\n'));
  let drawn = 0;
  const rig = await startRig({ random: () => drawn });
  t.after(() => rig.close());
  bring(mesh, rig, ['v1', 'v2']);
  const get = (path: string, ...args: string[]) => curl(rig.port, path, ...args);
  const answer = async (path: string, ...args: string[]) => {
    const { status, body } = await get(path, ...args);
    return `${status} ${body}`;
  };
  const triesOf = (path: string) => heard.filter(({ url }) => url === path).length;

  const shares: Record<string, number> = {};
  for (let share = 0; share < 8; share++) {
    drawn = share / 8;
    const got = await answer('/');
    shares[got] = (shares[got] ?? 0) + 1;
  }
  drawn = 0;
  assert.deepEqual(shares, { '200 127.0.0.1': 6, '200 127.0.0.2': 2 });
  assert.equal(await answer('/', '-H', 'end-user: jason'), '200 127.0.0.2');
  assert.equal(await answer('/', '-H', 'end-user: jasonx'), '200 127.0.0.1');
  assert.deepEqual([await answer('/broken'), triesOf('/broken')], ['418 fault filter abort', 0]);
  assert.deepEqual([await answer('/flaky'), triesOf('/flaky')], ['200 127.0.0.1', 3]);
  assert.deepEqual([await answer('/once'), triesOf('/once')], ['503 127.0.0.1', 1]);
  assert.deepEqual([await answer('/v1/cart'), triesOf('/cart')], ['200 127.0.0.1', 1]);
  const direct = await get('/here');
  assert.deepEqual([direct.status, direct.body, /x-by: route/.test(direct.headers)], [203, 'here', true]);
  assert.equal(await answer('/none'), '503 no healthy upstream: cart.shop.svc.cluster.local');
  assert.equal(await answer('/nowhere'), '503 ');
  assert.equal((await get('/', '-X', 'PUT')).status, 404);

  const late = answer('/late');
  await until(() => rig.clock.pendingMs().includes(7_000));
  assert.equal(triesOf('/late'), 0);
  rig.clock.advance(7_000);
  assert.equal(await late, '200 127.0.0.1');

  // A pod leaves before the control plane has said anything new of the route.
  const [gone] = [...rig.mesh.workloads()].filter(({ name }) => name === 'cart-1');
  assert.ok(gone !== undefined);
  rig.waypoint.meshChanged(rig.mesh.apply({ workloads: new Map([[gone.uid, null]]), services: new Map(), policies: new Map() }));
  assert.equal(await answer('/'), '503 no healthy upstream: cart.shop.svc.cluster.local');

  // The pods change places: the same names lead elsewhere, without an edit of a route.
  bring(mesh, rig, ['v2', 'v1']);
  assert.equal(await answer('/'), '200 127.0.0.2');
  assert.equal(await answer('/', '-H', 'end-user: jason'), '200 127.0.0.1');
  mesh.remove('DestinationRule shop/cart');
  bring(mesh, rig, ['v2', 'v1']);
  assert.equal(await answer('/'), '503 ');
  mesh.remove('VirtualService shop/cart');
  bring(mesh, rig, ['v2', 'v1']);
  assert.equal((await get('/broken')).status, 200);
});
