import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, stat, unlink, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type TestContext } from 'node:test';
import { promisify } from 'node:util';
import { create } from '@bufbuild/protobuf';
import type { WaypointSpec } from '#control-plane/waypoint-controller/runner.ts';
import { relayToControl } from '#main/commands/control-relay.ts';
import { SILENT_LOG } from '#model/effects/log.ts';
import { parseIdentity } from '#model/identity/identity.ts';
import type { Authorization } from '#model/mesh/authorization.ts';
import type { MeshDelta } from '#model/mesh/delta.ts';
import type { Service } from '#model/mesh/service.ts';
import type { Workload } from '#model/mesh/workload.ts';
import type { WaypointConfig } from '#model/waypoint/config.ts';
import { systemClock } from '#platform/clock.ts';
import { CaClient } from '#platform/grpc/ca-client.ts';
import { type ControlEndpoint, callMetadata, openClient } from '#platform/grpc/control-channel.ts';
import { DiscoveryClient } from '#platform/grpc/discovery-client.ts';
import { RegistryClient, type ReportedWorkload } from '#platform/grpc/registry-client.ts';
import { DELTA_STREAM } from '#platform/grpc/service-definitions.ts';
import { DeltaDiscoveryRequestSchema, type DeltaDiscoveryResponse } from '#proto/discovery_pb.js';
import { CertificateCache } from '#protocol/ca/certificate-cache.ts';
import { ADDRESS_TYPE } from '#protocol/xds/type-urls.ts';
import { type RunningControl, type StartControlOptions, startControl } from './control.ts';

const SHOP = `
apiVersion: v1
kind: Service
metadata: { name: ratings, namespace: shop }
spec:
  clusterIP: 10.96.0.9
  selector: { app: ratings }
  ports: [{ name: http, port: 80, targetPort: 8080 }]
---
apiVersion: v1
kind: Pod
metadata:
  name: ratings-1
  namespace: shop
  labels: { app: ratings }
  annotations: { ambient.istio.io/redirection: enabled }
spec: { nodeName: node-1, serviceAccountName: ratings, containers: [{ name: app, image: none }] }
status: { phase: Running, podIP: 10.1.0.7, conditions: [{ type: Ready, status: 'True' }] }
`;
const DENY = `
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: deny-reviews, namespace: shop }
spec:
  action: DENY
  selector: { matchLabels: { app: ratings } }
  rules: [{ from: [{ source: { principals: [cluster.local/ns/shop/sa/reviews] } }] }]
`;
const POD_UID = 'Kubernetes//Pod/shop/ratings-1';
const SERVICE_KEY = 'shop/ratings.shop.svc.cluster.local';

/** Directories of one control plane, gone after the test. */
async function place(t: TestContext): Promise<{ configDir: string; stateDir: string; socketPath: string }> {
  const root = await mkdtemp(join(tmpdir(), 'weft-control-'));
  t.after(() => rm(root, { recursive: true, force: true }));
  const configDir = await mkdtemp(join(root, 'config-'));
  await writeFile(join(configDir, 'shop.yaml'), SHOP);
  return { configDir, stateDir: join(root, 'state'), socketPath: join(root, 'run', 'control.sock') };
}

type Place = Awaited<ReturnType<typeof place>>;

async function started(t: TestContext, where: Place, changes: Partial<StartControlOptions> = {}): Promise<RunningControl> {
  const control = await startControl({
    ...where,
    listen: { host: '127.0.0.1', port: 0 },
    serverNames: [],
    trustDomain: 'cluster.local',
    waypointRunner: null,
    log: SILENT_LOG,
    ...changes,
  });
  t.after(() => control.stop({ waypoints: false }));
  return control;
}

function portOf({ address }: RunningControl): number {
  return Number(address.slice(address.lastIndexOf(':') + 1));
}

async function endpointOf(control: RunningControl, node: string): Promise<ControlEndpoint> {
  const token = await control.mintAgentToken(node);
  return {
    address: control.address,
    rootsPem: async () => control.rootsPem,
    token: async () => token,
    serverName: null,
    clusterId: 'Kubernetes',
  };
}

const AGENT_ID = 'ztunnel~10.0.0.1~agent.istio-system~istio-system.svc.cluster.local';

/** An agent's discovery client, with the mesh as it knows it and each delta it was told. */
function follower(
  t: TestContext,
  endpoint: ControlEndpoint,
  options: { node?: string; waypoint?: string; metadata?: Record<string, string> } = {},
) {
  const workloads = new Map<string, Workload>();
  const services = new Map<string, Service>();
  const policies = new Map<string, Authorization>();
  const deltas: MeshDelta[] = [];
  const configs: (WaypointConfig | null)[] = [];
  const watchers = new Set<() => void>();
  const told = () => {
    for (const watcher of [...watchers]) watcher();
  };
  let connects = 0;
  const client = new DiscoveryClient({
    endpoint,
    node: { id: AGENT_ID, metadata: { NAMESPACE: 'istio-system', NODE_NAME: options.node ?? 'node-1', ...options.metadata } },
    waypoint: options.waypoint ?? null,
    clock: systemClock,
    log: SILENT_LOG,
    onMesh(delta) {
      deltas.push(delta);
      merge(workloads, delta.workloads);
      merge(services, delta.services);
      merge(policies, delta.policies);
      told();
    },
    onWaypointConfig(config) {
      configs.push(config);
      told();
    },
    onConnected() {
      connects += 1;
      told();
    },
  });
  /** Resolves when the client knows what `known` asks for. */
  const until = (known: () => boolean) =>
    new Promise<void>((resolve) => {
      // Timers of the real clock do not keep a process alive that waits for a server to come back.
      const alive = setInterval(() => {}, 1_000);
      const watcher = () => {
        if (!known()) return;
        clearInterval(alive);
        watchers.delete(watcher);
        resolve();
      };
      watchers.add(watcher);
      watcher();
    });
  t.after(() => client.stop());
  client.start();
  return { client, workloads, services, policies, deltas, configs, until, connects: () => connects };
}

function merge<Value>(map: Map<string, Value>, changes: ReadonlyMap<string, Value | null>): void {
  for (const [key, value] of changes) {
    if (value === null) map.delete(key);
    else map.set(key, value);
  }
}

function closeAfter(t: TestContext, ...closables: { close(): void }[]): void {
  t.after(() => {
    for (const closable of closables) closable.close();
  });
}

/** Waits for something that has no event of its own. */
async function eventually(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 5));
}

test('an agent learns the mesh, and a changed file reaches it', async (t) => {
  const where = await place(t);
  const agent = follower(t, await endpointOf(await started(t, where), 'node-1'));
  await agent.client.synced;
  await agent.until(() => agent.workloads.size === 1);
  assert.deepEqual([...agent.workloads.keys(), ...agent.services.keys()], [POD_UID, SERVICE_KEY]);
  assert.deepEqual(agent.workloads.get(POD_UID)?.services.get(SERVICE_KEY), [{ servicePort: 80, targetPort: 8080 }]);
  assert.deepEqual([agent.client.status().connected, agent.client.status().error], [true, null]);

  await writeFile(join(where.configDir, 'deny.yaml'), DENY);
  await agent.until(() => agent.workloads.get(POD_UID)?.authorizationPolicies.length === 1);
  assert.ok(agent.policies.has('shop/deny-reviews'));
  await unlink(join(where.configDir, 'deny.yaml'));
  await agent.until(() => agent.policies.size === 0);
  assert.deepEqual(agent.workloads.get(POD_UID)?.authorizationPolicies, []);
});

test('C15, B63: after a restart the client reconnects, gets only what differs, and holds nothing that is gone', async (t) => {
  const where = await place(t);
  const first = await started(t, where);
  const endpoint = await endpointOf(first, 'node-1');
  const agent = follower(t, endpoint);
  await agent.client.synced;
  await agent.until(() => agent.workloads.size === 1);
  await first.stop({ waypoints: false });
  await eventually(() => !agent.client.status().connected);
  assert.match(agent.client.status().error ?? '', /control plane at 127\.0\.0\.1/);

  await writeFile(join(where.configDir, 'shop.yaml'), SHOP.replace('ratings-1', 'ratings-2'));
  const before = agent.deltas.length;
  await started(t, where, { listen: { host: '127.0.0.1', port: portOf(first) } });
  await agent.until(() => agent.workloads.has('Kubernetes//Pod/shop/ratings-2'));
  assert.deepEqual([...agent.workloads.keys()], ['Kubernetes//Pod/shop/ratings-2']);
  const after = agent.deltas.slice(before).flatMap((delta) => [...delta.workloads.keys(), ...delta.services.keys()]);
  assert.deepEqual(after.sort(), [POD_UID, 'Kubernetes//Pod/shop/ratings-2'].sort());
  assert.equal(agent.connects(), 2);
});

const web: ReportedWorkload = {
  name: 'web',
  namespace: 'shop',
  serviceAccount: 'web',
  addresses: ['10.41.0.2'],
  labels: { app: 'web' },
  enrolled: true,
  nativeTunnel: false,
};
const WEB_UID = 'Kubernetes/weft.dev/Workload/shop/web';

test('a registered workload reaches other nodes, and is there after a restart before its agent', async (t) => {
  const where = await place(t);
  const first = await started(t, where);
  const registry = new RegistryClient(await endpointOf(first, 'node-1'), 'node-1');
  t.after(() => registry.close());
  const other = follower(t, await endpointOf(first, 'node-2'), { node: 'node-2' });
  assert.deepEqual(await registry.sync([web]), [WEB_UID]);
  await other.until(() => other.workloads.get(WEB_UID)?.tunnelProtocol === 'hbone');
  await first.stop({ waypoints: false });

  const second = await started(t, where, { listen: { host: '127.0.0.1', port: portOf(first) } });
  await other.until(() => other.connects() === 2);
  await other.client.synced;
  assert.ok(other.workloads.has(WEB_UID));
  assert.ok(other.deltas.every(({ workloads }) => workloads.get(WEB_UID) !== null));
  assert.deepEqual(second.status().nodes, [
    { node: 'node-1', connected: false, registeredWorkloads: 1 },
    { node: 'node-2', connected: true, registeredWorkloads: 0 },
  ]);
  assert.deepEqual(
    second.status().outOfDate.filter((line) => line.includes('node-1')),
    ['node node-1 is not connected'],
  );
});

test('an agent cannot register workloads of another node', async (t) => {
  const control = await started(t, await place(t));
  const registry = new RegistryClient(await endpointOf(control, 'node-1'), 'node-2');
  t.after(() => registry.close());
  await assert.rejects(registry.sync([web]), { code: 'WEFT_CONTROL_PLANE', message: /PERMISSION_DENIED/ });
});

test('C18, C19: certificates of local identities are issued and verify with openssl, others are refused', async (t) => {
  const where = await place(t);
  const control = await started(t, where);
  const ca = new CaClient(await endpointOf(control, 'node-1'), { impersonate: true });
  const elsewhere = new CaClient(await endpointOf(control, 'node-2'), { impersonate: true });
  const cache = (client: CaClient) =>
    new CertificateCache({ fetch: client.fetch, clock: systemClock, random: () => 0, log: SILENT_LOG });
  const [local, remote] = [cache(ca), cache(elsewhere)];
  closeAfter(t, ca, elsewhere, local, remote);

  const ratings = parseIdentity('spiffe://cluster.local/ns/shop/sa/ratings');
  const { chainPem, rootsPem } = await local.get(ratings);
  const files = { root: join(where.configDir, 'root.pem'), leaf: join(where.configDir, 'leaf.pem') };
  await writeFile(files.root, rootsPem.join(''));
  await writeFile(files.leaf, chainPem);
  const openssl = promisify(execFile);
  const { stdout } = await openssl('openssl', [
    'verify',
    '-x509_strict',
    '-purpose',
    'sslserver',
    '-CAfile',
    files.root,
    files.leaf,
  ]);
  assert.match(stdout, /leaf\.pem: OK/);
  const text = (await openssl('openssl', ['x509', '-in', files.leaf, '-noout', '-text'])).stdout;
  assert.match(text, /Subject: \n/);
  assert.match(text, /Subject Alternative Name: critical\s+URI:spiffe:\/\/cluster\.local\/ns\/shop\/sa\/ratings\n/);
  assert.match(text, /Key Usage: critical\s+Digital Signature, Key Encipherment\n/);

  await assert.rejects(remote.get(ratings), { code: 'WEFT_CERTIFICATE', message: /UNAUTHENTICATED/ });
  await assert.rejects(local.get(parseIdentity('spiffe://cluster.local/ns/shop/sa/admin')), { code: 'WEFT_CERTIFICATE' });
});

test('a workload that was just registered can have its certificate at once', async (t) => {
  const endpoint = await endpointOf(await started(t, await place(t)), 'node-7');
  const [registry, ca] = [new RegistryClient(endpoint, 'node-7'), new CaClient(endpoint, { impersonate: true })];
  const cache = new CertificateCache({ fetch: ca.fetch, clock: systemClock, random: () => 0, log: SILENT_LOG });
  closeAfter(t, registry, ca, cache);
  await registry.sync([web]);
  assert.equal((await cache.get(parseIdentity('spiffe://cluster.local/ns/shop/sa/web'))).identity.serviceAccount, 'web');
});

const refusals = [
  { name: 'without a token', token: '', says: /token for the control plane is empty/ },
  { name: 'with a wrong token', token: 'x.y.z', says: /UNAUTHENTICATED: authentication failed/ },
];
for (const { name, token, says } of refusals) {
  test(`C13: a client ${name} is refused and keeps trying`, async (t) => {
    const endpoint = { ...(await endpointOf(await started(t, await place(t)), 'node-1')), token: async () => token };
    const { client } = follower(t, endpoint);
    await eventually(() => says.test(client.status().error ?? ''));
    assert.equal(client.status().connected, false);
  });
}

test('C13: node metadata of another namespace or node than the token is PERMISSION_DENIED', async (t) => {
  const endpoint = await endpointOf(await started(t, await place(t)), 'node-1');
  const claims: Record<string, string>[] = [{ NAMESPACE: 'shop' }, { NODE_NAME: 'node-9' }];
  for (const metadata of claims) {
    const { client } = follower(t, endpoint, { metadata });
    await eventually(() => /PERMISSION_DENIED/.test(client.status().error ?? ''));
  }
});

test('a client that trusts another root, or dials a name the server does not have, never sends its token', async (t) => {
  const control = await started(t, await place(t));
  const foreign = await started(t, await place(t));
  const endpoint = await endpointOf(control, 'node-1');
  for (const changes of [{ rootsPem: async () => foreign.rootsPem }, { serverName: 'other.example' }]) {
    const { client } = follower(t, { ...endpoint, ...changes });
    await eventually(() => /UNAVAILABLE/.test(client.status().error ?? ''));
  }
  assert.deepEqual(control.status().connections, []);
});

test('the server is known by the names it was given and by that of a stock installation', async (t) => {
  const control = await started(t, await place(t), { serverNames: ['mesh.example'] });
  const endpoint = await endpointOf(control, 'node-1');
  for (const serverName of ['mesh.example', 'istiod.istio-system.svc', 'localhost']) {
    await follower(t, { ...endpoint, serverName }).client.synced;
  }
});

test('a client that only a path leads to reaches the server through it', async (t) => {
  const where = await place(t);
  const control = await started(t, where);
  const path = join(where.configDir, 'discovery.sock');
  t.after(await relayToControl(path, control.address));
  await follower(t, { ...(await endpointOf(control, 'node-1')), address: `unix:${path}` }).client.synced;
});

test('C14: a first request of more than 10 MiB is accepted', async (t) => {
  const endpoint = await endpointOf(await started(t, await place(t)), 'node-1');
  const client = await openClient(endpoint);
  t.after(() => client.close());
  const stream = client.makeBidiStreamRequest(
    DELTA_STREAM.path,
    DELTA_STREAM.request.write,
    DELTA_STREAM.response.read,
    await callMetadata(endpoint),
  );
  const claimed = Array.from({ length: 120_000 }, (_, at) => [
    `Kubernetes//Pod/some-namespace/some-deployment-name-with-a-hash-${at}`,
    'f00dfeedf00dfeed',
  ]);
  const first = create(DeltaDiscoveryRequestSchema, {
    node: { id: AGENT_ID, metadata: { NAMESPACE: 'istio-system' } },
    typeUrl: ADDRESS_TYPE,
    initialResourceVersions: Object.fromEntries(claimed),
  });
  assert.ok(DELTA_STREAM.request.write(first).length > 10 * 1024 * 1024);
  stream.on('error', () => {});
  const response = await new Promise<DeltaDiscoveryResponse>((resolve) => {
    stream.on('data', resolve);
    stream.write(first);
  });
  stream.cancel();
  assert.deepEqual([response.resources.length, response.removedResources.length], [2, claimed.length]);
});

const GATEWAY = `
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: waypoint, namespace: shop }
spec:
  gatewayClassName: weft-waypoint
  listeners: [{ name: mesh, port: 15008, protocol: HBONE }]
`;

test('a Gateway gets a waypoint, which learns its configuration with a token of its own, and outlives the control plane', async (t) => {
  const where = await place(t);
  await writeFile(join(where.configDir, 'gateway.yaml'), GATEWAY);
  const running = new Map<string, { spec: WaypointSpec; token: string }>();
  const waypointRunner = {
    start: async (spec: WaypointSpec, token: string) => void running.set(spec.name, { spec, token }),
    stop: async ({ name }: { name: string }) => void running.delete(name),
    list: async () => [...running.values()].map(({ spec }) => spec),
  };
  const control = await started(t, where, { waypointRunner });
  await eventually(() => running.size === 1);
  const { spec, token } = running.get('waypoint') ?? assert.fail();
  assert.deepEqual([spec.namespace, spec.serviceAccount], ['shop', 'waypoint']);

  const endpoint = { ...(await endpointOf(control, 'node-1')), token: async () => token };
  const metadata = { NAMESPACE: 'shop', SERVICE_ACCOUNT: 'waypoint' };
  const waypoint = follower(t, endpoint, { waypoint: 'shop/waypoint', metadata });
  await waypoint.until(() => waypoint.configs.length === 1);
  assert.equal(waypoint.configs[0]?.gateway, 'waypoint');
  const ca = new CaClient(endpoint, { impersonate: false });
  const cache = new CertificateCache({ fetch: ca.fetch, clock: systemClock, random: () => 0, log: SILENT_LOG });
  closeAfter(t, ca, cache);
  await cache.get(parseIdentity('spiffe://cluster.local/ns/shop/sa/waypoint'));
  await assert.rejects(cache.get(parseIdentity('spiffe://cluster.local/ns/shop/sa/ratings')));
  await eventually(() => control.status().waypoints[0]?.ready === true);

  await control.stop({ waypoints: false });
  assert.equal(running.size, 1);
  const second = await started(t, where, { waypointRunner });
  await eventually(() => second.status().waypoints[0]?.state === 'running');
  await second.stop({ waypoints: true });
  assert.equal(running.size, 0);
});

test('a waypoint without a Gateway is told so', async (t) => {
  const control = await started(t, await place(t));
  const waypoint = follower(t, await endpointOf(control, 'node-1'), { waypoint: 'shop/none' });
  await waypoint.client.synced;
  assert.deepEqual(waypoint.configs, [null]);
});

test('a broken file is reported with its place, and the good ones apply', async (t) => {
  const where = await place(t);
  const control = await started(t, where);
  const agent = follower(t, await endpointOf(control, 'node-1'));
  await agent.until(() => agent.workloads.size === 1);
  await writeFile(
    join(where.configDir, 'broken.yaml'),
    `${DENY}---\napiVersion: v1\nkind: Service\nmetadata: { name: x, namespace: shop }\nspec: { ports: [{ port: 99999 }] }\n`,
  );
  await agent.until(() => agent.policies.size === 1);
  const [finding] = control.status().findings;
  assert.deepEqual([finding?.severity, finding?.resource], ['error', 'Service shop/x']);
  assert.ok(finding !== undefined && finding.file.endsWith('broken.yaml') && finding.line > 9 && finding.remedy !== '');
});

async function callApi(
  socketPath: string,
  method: string,
  path: string,
  body = '',
): Promise<{ status: number; body: Record<string, unknown> }> {
  return new Promise((resolve, reject) => {
    const call = request({ socketPath, method, path }, async (response) => {
      let text = '';
      for await (const part of response) text += String(part);
      resolve({ status: response.statusCode ?? 0, body: JSON.parse(text) });
    });
    call.on('error', reject);
    call.end(body);
  });
}

test('the local API tells the status and mints tokens that work', async (t) => {
  const where = await place(t);
  const control = await started(t, where, { serverNames: ['127.0.0.1'] });
  const status = await callApi(where.socketPath, 'GET', '/v1/status');
  assert.deepEqual(
    [status.status, status.body.address, status.body.resources],
    [200, control.address, { addresses: 2, policies: 0, waypoints: 0 }],
  );
  const minted = await callApi(where.socketPath, 'POST', '/v1/tokens', JSON.stringify({ node: 'node-5', ttlSeconds: 60 }));
  assert.deepEqual([minted.status, minted.body.rootsPem, minted.body.address], [200, control.rootsPem, control.address]);
  const endpoint = { ...(await endpointOf(control, 'x')), token: async () => String(minted.body.token) };
  await follower(t, endpoint, { node: 'node-5' }).client.synced;
  await eventually(() => control.status().connections[0]?.upToDate === true);
  assert.equal(control.status().connections[0]?.node, 'node-5');

  const bad = ['', '[]', '{}', '{"node":"a b"}', '{"node":"a","ttlSeconds":0}'];
  for (const body of bad)
    assert.equal((await callApi(where.socketPath, 'POST', '/v1/tokens', body)).body.code, 'WEFT_API_BODY', body);
  assert.equal((await callApi(where.socketPath, 'GET', '/v1/other')).status, 404);
});

test('secrets are readable by their owner only', async (t) => {
  const where = await place(t);
  await started(t, where);
  for (const name of ['root-key.pem', 'token-key.pem']) {
    assert.equal((await stat(join(where.stateDir, name))).mode & 0o777, 0o600, name);
  }
  assert.equal((await stat(where.socketPath)).mode & 0o077, 0);
  assert.match(await readFile(join(where.stateDir, 'root-cert.pem'), 'utf8'), /BEGIN CERTIFICATE/);
});

test('what keeps the control plane from starting is told with code and remedy, and leaves nothing open', async (t) => {
  const where = await place(t);
  const blocked = join(where.configDir, 'shop.yaml');
  const bad: [string, Partial<StartControlOptions>][] = [
    ['WEFT_STATE_DIR', { stateDir: join(blocked, 'state') }],
    ['WEFT_CONFIG_DIRECTORY', { configDir: join(where.configDir, 'missing') }],
    ['WEFT_LISTEN', { listen: { host: '192.0.2.1', port: 1 } }],
  ];
  for (const [code, changes] of bad) {
    await assert.rejects(
      started(t, where, changes),
      (error: Error & { code?: string; remedy?: string }) => error.code === code && error.remedy !== undefined,
      code,
    );
  }
});
