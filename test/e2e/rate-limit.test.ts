import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type TestContext } from 'node:test';
import { CRD_FILES, KINDS } from '#control-plane/kinds/list.ts';
import { YamlMesh } from '#control-plane/kinds/yaml-mesh.testing.ts';
import { createResourceParser } from '#control-plane/resources/resource-parser.ts';
import { readCrds } from '#platform/files/crds.ts';
import { waypointConfigFromProto, waypointConfigToProto } from '#protocol/xds/waypoint-config.ts';
import { type EnvoyService, envoyPrograms, startEnvoyService } from '#testbed/envoy/programs.ts';
import { type Curled, curl, deadPort, startApp } from '#waypoint/clients.testing.ts';
import { type Rig, startRig, until, VIP, WAYPOINT_IDENTITY } from '#waypoint/waypoint-rig.testing.ts';

const PROGRAMS = await envoyPrograms();
const SKIP = PROGRAMS === null ? 'ENVOY’S RATE LIMIT SERVICE IS NOT TESTED AGAINST: it cannot be built here' : false;
const parser = createResourceParser(KINDS, await readCrds(CRD_FILES));
/** Of the service that counts, on another node. */
const LIMITS = '127.0.0.3';

const GATEWAY =
  '{ apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: { name: waypoint, namespace: shop }, spec: { gatewayClassName: weft-waypoint, listeners: [{ name: mesh, port: 15008, protocol: HBONE }] } }';
const service = (namespace: string, name: string, vip: string, targetPort: number, label = '') =>
  `{ apiVersion: v1, kind: Service, metadata: { name: ${name}, namespace: ${namespace}, labels: { ${label} } }, spec: { clusterIP: ${vip}, selector: { app: ${name} }, ports: [{ name: ${namespace === 'infra' ? 'grpc' : 'http'}, port: 80, targetPort: ${targetPort} }] } }`;
const RULES = `
  - { name: per-user, scope: Global, match: { path: { value: /day } }, key: [{ type: SourceServiceAccount }, { type: Header, name: x-user }], limit: { requests: 5, window: 24h } }
  - { name: seen, scope: Global, match: { path: { value: /day } }, limit: { requests: 1, window: 24h }, shadow: true }
  - { name: fast, scope: Global, match: { path: { value: /second } }, limit: { requests: 1, window: 1s } }`;
const policy = (onServiceError: string, target = 'limits') => `
apiVersion: weft.dev/v1alpha1
kind: TrafficPolicy
metadata: { name: counted, namespace: shop }
spec:
  targetRefs: [{ kind: Service, name: cart }]
  rateLimit: { service: { name: ${target}, namespace: infra, port: 80 }, timeout: 10s, onServiceError: ${onServiceError}, responseHeaders: DraftVersion03, rules: [${RULES.replaceAll('\n  - ', ', ').slice(2)}] }
`;

type Mesh = { rig: Rig; mesh: YamlMesh; bring(): void };

/** All there is of a mesh, from its documents to sockets: as it comes over the wire. */
async function startMesh(t: TestContext, limitsPort: number): Promise<Mesh> {
  const app = await startApp(t, (_, response) => void response.end('from the app'));
  const documents = [
    GATEWAY,
    service('shop', 'cart', VIP, app.port, 'istio.io/use-waypoint: waypoint'),
    service('infra', 'limits', '10.96.0.31', limitsPort),
    policy('Deny'),
  ];
  const mesh = new YamlMesh(parser, documents.join('\n---\n'));
  mesh.register('one', { name: 'cart', addresses: ['127.0.0.1'], labels: { app: 'cart' } });
  mesh.register('two', { name: 'limits', namespace: 'infra', addresses: [LIMITS], labels: { app: 'limits' } });
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
  return { rig, mesh, bring };
}

/** Envoy's own server, with a store in its process, whose configuration has this domain only. */
type RealServer = { readonly port: number; running: EnvoyService; declare(domain: string): void; start(): Promise<void> };

async function startRealServer(t: TestContext, domain: string): Promise<RealServer> {
  const root = mkdtempSync(join(tmpdir(), 'weft-limits-'));
  mkdirSync(join(root, 'config'));
  t.after(() => rmSync(root, { recursive: true }));
  const [port, http, debug] = [await deadPort(), await deadPort(), await deadPort()];
  const env = {
    ...{ RUNTIME_ROOT: root, RUNTIME_WATCH_ROOT: 'false', USE_STATSD: 'false', LOG_LEVEL: 'info' },
    ...{ HOST: LIMITS, PORT: `${http}`, GRPC_HOST: LIMITS, GRPC_PORT: `${port}`, DEBUG_HOST: LIMITS, DEBUG_PORT: `${debug}` },
  };
  const run = (): EnvoyService => startEnvoyService([`${PROGRAMS}/ratelimit`], env);
  const declare = (name: string): void => writeFileSync(join(root, 'config', 'weft.yaml'), `domain: ${name}\n`);
  declare(domain);
  const server: RealServer = {
    port,
    running: run(),
    declare,
    async start() {
      server.running = run();
      await accepting(port);
    },
  };
  t.after(() => server.running.stop());
  await accepting(port);
  return server;
}

/** Waits until somebody listens there. */
async function accepting(port: number): Promise<void> {
  const deadlineMs = performance.now() + 20_000;
  while (performance.now() < deadlineMs) {
    const socket = net.connect({ port, host: LIMITS });
    const open = await new Promise<boolean>((resolve) =>
      socket.once('connect', () => resolve(true)).once('error', () => resolve(false)),
    );
    socket.destroy();
    if (open) return;
    await new Promise((resolve) => setImmediate(resolve));
  }
  throw new Error('the rate limit service does not listen');
}

const short = ({ status, body }: Curled) => `${status} ${body}`;
const told = (rig: Rig, words: RegExp) => rig.lines.filter(({ message }) => words.test(message)).length;

/** Asks until the answer has this status; what depends on the server's own time or files. */
async function eventually(ask: () => Promise<Curled>, status: number): Promise<void> {
  const deadlineMs = performance.now() + 20_000;
  while ((await ask()).status !== status) assert.ok(performance.now() < deadlineMs, `never ${status}`);
}

test('W59: requests are counted by Envoy’s own rate limit service, whatever waypoint they come through', {
  skip: SKIP,
}, async (t) => {
  const server = await startRealServer(t, 'weft');
  const { rig, mesh } = await startMesh(t, server.port);
  assert.deepEqual(mesh.conditions('TrafficPolicy shop/counted'), ['Accepted True Accepted', 'Programmed True Programmed']);
  const other = await startMesh(t, server.port);
  const get = (path: string, user: string, through = rig) => curl(through.port, path, '-H', `x-user: ${user}`);
  const first = await get('/day', 'alice');
  assert.deepEqual([short(first), /x-ratelimit-remaining: 4\r/.test(first.headers)], ['200 from the app', true]);
  assert.match(first.headers, /x-ratelimit-limit: 5, 5;w=86400;name="per-user"\r/);
  for (let more = 0; more < 2; more++) assert.equal((await get('/day', 'alice', other.rig)).status, 200);
  for (let more = 0; more < 2; more++) assert.equal((await get('/day', 'alice')).status, 200);
  for (const through of [rig, other.rig]) {
    const refused = await get('/day', 'alice', through);
    assert.deepEqual([refused.status, /x-envoy-ratelimited: true/.test(refused.headers)], [429, true]);
    assert.match(refused.headers, /retry-after: [1-9]\d*\r/);
  }
  // Others have counts of their own: another value, none, and what comes into no count.
  assert.equal((await get('/day', 'bob')).status, 200);
  assert.equal((await curl(rig.port, '/day')).status, 200);
  rig.peer = null;
  assert.equal((await get('/day', 'alice')).status, 200);
  assert.equal((await get('/free', 'alice')).status, 200);
  const limited = rig.waypoint.meters.collect().find(({ name }) => name === 'weft_rate_limited_total')?.series ?? [];
  assert.deepEqual(limited.map(({ labels, value }) => `${labels.rule} ${labels.mode} ${value}`).toSorted(), [
    'per-user enforced 1',
    'seen shadow 6',
  ]);
  // A window ends by the server's clock.
  await eventually(() => get('/second', ''), 429);
  await eventually(() => get('/second', ''), 200);
  // Through a tunnel to the other node, by the waypoint's own identity, and one for all.
  const [tunnel, ...more] = rig.tunnels;
  assert.deepEqual(
    [tunnel?.target.source, tunnel?.request.authority, more.length],
    [WAYPOINT_IDENTITY, `${LIMITS}:${server.port}`, 0],
  );
});

test('W59: Envoy’s rate limit service stands still, dies and comes back', { skip: SKIP }, async (t) => {
  const server = await startRealServer(t, 'weft');
  const { rig, mesh, bring } = await startMesh(t, server.port);
  const get = () => curl(rig.port, '/day', '-H', 'x-user: carol');
  assert.equal((await get()).status, 200);
  server.running.pause();
  const stuck = get();
  await until(() => rig.waypoint.counters.openRequests === 1);
  // The connection is there, so the question is on its way.
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
  rig.clock.advance(10_000);
  assert.equal((await stuck).status, 500);
  server.running.resume();
  assert.equal((await get()).status, 200);
  await server.running.stop();
  assert.equal((await get()).status, 500);
  mesh.apply(policy('Allow'));
  bring();
  assert.equal(short(await get()), '200 from the app');
  await server.start();
  // Its store was in its process: it counts anew, and the sixth is one too many.
  for (let asked = 0; asked < 5; asked++) assert.equal((await get()).status, 200);
  assert.equal((await get()).status, 429);
});

test('W59: a service whose configuration lacks the domain, or that is not in the mesh, is told of; its policy decides', {
  skip: SKIP,
}, async (t) => {
  const server = await startRealServer(t, 'other');
  const { rig, mesh, bring } = await startMesh(t, server.port);
  await until(() => told(rig, /limits nothing.*domain: weft/) === 1);
  const get = () => curl(rig.port, '/day', '-H', 'x-user: dave');
  assert.equal((await get()).status, 500);
  server.declare('weft');
  await eventually(get, 200);
  mesh.apply(policy('Deny', 'limit'));
  bring();
  assert.deepEqual(mesh.conditions('TrafficPolicy shop/counted')[0], 'Accepted False Invalid');
  assert.match(
    mesh.problems('TrafficPolicy shop/counted').join(),
    /Service infra\/limit not found.*limits.*requests are refused/,
  );
  assert.equal((await get()).status, 500);
  mesh.apply(policy('Allow', 'limit'));
  bring();
  assert.equal((await get()).status, 200);
});
