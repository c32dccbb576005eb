import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import https from 'node:https';
import type { AddressInfo } from 'node:net';
import test, { type TestContext } from 'node:test';
import { CRD_FILES, KINDS } from '#control-plane/kinds/list.ts';
import { YamlMesh } from '#control-plane/kinds/yaml-mesh.testing.ts';
import { createResourceParser } from '#control-plane/resources/resource-parser.ts';
import { readCrds } from '#platform/files/crds.ts';
import { certificateFor } from '#platform/jwt/key-server.testing.ts';
import { waypointConfigFromProto, waypointConfigToProto } from '#protocol/xds/waypoint-config.ts';
import { type Rig, startRig, VIP } from '#waypoint/waypoint-rig.testing.ts';

const parser = createResourceParser(KINDS, await readCrds(CRD_FILES));

/** Each app at an address of its own, all at one port. */
const APPS = { cart: '127.0.0.1', blue: '127.0.0.2', green: '127.0.0.3', old: '127.0.0.4' } as const;

const GATEWAY =
  '{ apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: { name: waypoint, namespace: shop }, spec: { gatewayClassName: weft-waypoint, listeners: [{ name: mesh, port: 15008, protocol: HBONE }] } }';
const service = (name: string, targetPort: number, more = '') =>
  `{ apiVersion: v1, kind: Service, metadata: { name: ${name}, namespace: shop, labels: { istio.io/use-waypoint: waypoint } }, spec: { ${more} selector: { app: ${name} }, ports: [{ name: https, port: 80, targetPort: ${targetPort} }] } }`;
const istio = (kind: string, spec: string) =>
  `{ apiVersion: networking.istio.io/v1, kind: ${kind}, metadata: { name: cart, namespace: shop }, spec: ${spec} }`;
const route = (kind: string, name: string, to: string, more = '') =>
  `{ apiVersion: gateway.networking.k8s.io/v1, kind: ${kind}, metadata: { name: ${name}, namespace: shop }, spec: { ${more} parentRefs: [{ group: "", kind: Service, name: cart }], rules: [{ backendRefs: [{ name: ${to}, port: 80 }] }] } }`;

const RULE = istio('DestinationRule', '{ host: cart, subsets: [{ name: old, labels: { version: old } }] }');
const VIRTUAL = istio(
  'VirtualService',
  `{ hosts: [cart, blue.example], tls: [{ match: [{ sniHosts: [blue.example] }], route: [{ destination: { host: blue } }] }], tcp: [{ match: [{ destinationSubnets: ["${VIP}/32"], sourceNamespace: web }], route: [{ destination: { host: cart, subset: old } }] }] }`,
);

async function startApps(t: TestContext): Promise<number> {
  const { cert, key } = await certificateFor('any.example');
  let port = 0;
  for (const [name, address] of Object.entries(APPS)) {
    const server = https.createServer({ cert, key }, (_, response) => response.end(name));
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

/** Brings all there is to the waypoint, as it comes over the wire. */
function bring(mesh: YamlMesh, rig: Rig): void {
  const { workloads, services, waypoints } = mesh.index.snapshot();
  const gone = [...rig.mesh.workloads()].filter(({ uid }) => !workloads.has(uid)).map(({ uid }) => [uid, null] as const);
  rig.waypoint.meshChanged(rig.mesh.apply({ workloads: new Map([...workloads, ...gone]), services, policies: new Map() }));
  const config = waypoints.get('shop/waypoint');
  assert.ok(config !== undefined);
  rig.waypoint.configure(waypointConfigFromProto(waypointConfigToProto(config)));
}

/** What curl is answered that asks for a name by TLS; its exit code where it is not: 35 when TLS cannot begin. */
function asked(port: number, name: string): Promise<string> {
  const args = ['-sk', '--max-time', '5', '--connect-to', `${name}:443:127.0.0.1:${port}`, `https://${name}/`];
  return new Promise((resolve) => {
    execFile('curl', args, (error, stdout) => resolve(error === null ? stdout : `${error.code}`));
  });
}

test('config-api 1.14, config-api 4.4: connections go by names, addresses and clients as both APIs say, over sockets', async (t) => {
  const port = await startApps(t);
  const services = [service('cart', port, `clusterIP: ${VIP},`), service('blue', port), service('green', port)];
  const mesh = new YamlMesh(parser, [GATEWAY, ...services, RULE, VIRTUAL].join('\n---\n'));
  mesh.register(
    'alpha',
    ...Object.entries(APPS).map(([name, address]) => {
      const labels = { app: name === 'old' ? 'cart' : name, version: name };
      return { name, addresses: [address], labels };
    }),
  );
  const rig = await startRig({ random: () => 0 });
  t.after(() => rig.close());
  bring(mesh, rig);
  const names = ['blue.example', 'cart.example', 'x.green.example'];
  const answers = async (): Promise<string[]> => {
    const heard: string[] = [];
    for (const name of names) heard.push(await asked(rig.port, name));
    return heard;
  };
  // The client is of namespace web.
  assert.deepEqual(await answers(), ['blue', 'old', 'old']);

  mesh.apply(route('TLSRoute', 'names', 'green', 'hostnames: ["*.green.example"],'));
  bring(mesh, rig);
  assert.deepEqual(
    await answers(),
    ['35', '35', 'green'],
    'a route of the Gateway API goes before, and refuses what it does not name',
  );
  mesh.apply(route('TCPRoute', 'rest', 'blue'));
  bring(mesh, rig);
  assert.deepEqual(await answers(), ['blue', 'blue', 'green']);
  mesh.remove('TLSRoute shop/names');
  bring(mesh, rig);
  assert.deepEqual(await answers(), ['blue', 'blue', 'blue']);
  mesh.remove('TCPRoute shop/rest');
  mesh.remove('DestinationRule shop/cart');
  bring(mesh, rig);
  assert.deepEqual(await answers(), ['blue', '35', '35'], 'a subset that is gone takes nobody elsewhere');
});
