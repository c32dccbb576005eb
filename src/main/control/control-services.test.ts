import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFile, stat, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { join } from 'node:path';
import test from 'node:test';
import { promisify } from 'node:util';
import type { WaypointSpec } from '#control-plane/waypoints/plan.ts';
import { SILENT_LOG } from '#model/effects/log.ts';
import { parseIdentity } from '#model/identity/identity.ts';
import type { Registration } from '#model/mesh/registration.ts';
import { systemClock } from '#platform/clock.ts';
import { CaClient, RegistryClient } from '#platform/grpc/control-clients.ts';
import { CertificateCache } from '#protocol/ca/certificate-cache.ts';
import { ANYTHING, closeAfter, endpointOf, eventually, follower, place, portOf, started } from './control-rig.testing.ts';

const web: Registration = {
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
  const first = await started(where);
  const registry = new RegistryClient(await endpointOf(first, 'node-1'), 'node-1');
  t.after(() => registry.close());
  const other = follower(t, await endpointOf(first, 'node-2'), { node: 'node-2' });
  assert.deepEqual((await registry.sync([web], [])).uids, [WEB_UID]);
  await other.until(() => other.workloads.get(WEB_UID)?.tunnelProtocol === 'hbone');
  await first.stop({ waypoints: false });

  const second = await started(where, { listen: { host: '127.0.0.1', port: portOf(first) } });
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
  const control = await started(await place(t));
  const registry = new RegistryClient(await endpointOf(control, 'node-1'), 'node-2');
  t.after(() => registry.close());
  await assert.rejects(registry.sync([web], []), { code: 'WEFT_CONTROL_PLANE', message: /PERMISSION_DENIED/ });
});

test('C18, C19: certificates of local identities are issued and verify with openssl, others are refused', async (t) => {
  const where = await place(t);
  const control = await started(where);
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
  const endpoint = await endpointOf(await started(await place(t)), 'node-7');
  const [registry, ca] = [new RegistryClient(endpoint, 'node-7'), new CaClient(endpoint, { impersonate: true })];
  const cache = new CertificateCache({ fetch: ca.fetch, clock: systemClock, random: () => 0, log: SILENT_LOG });
  closeAfter(t, registry, ca, cache);
  await registry.sync([web], []);
  assert.equal((await cache.get(parseIdentity('spiffe://cluster.local/ns/shop/sa/web'))).identity.serviceAccount, 'web');
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
  const control = await started(where, { waypointRunner });
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
  const second = await started(where, { waypointRunner });
  await eventually(() => second.status().waypoints[0]?.state === 'running');
  await second.stop({ waypoints: true });
  assert.equal(running.size, 0);
});

test('a waypoint without a Gateway is told so', async (t) => {
  const control = await started(await place(t));
  const waypoint = follower(t, await endpointOf(control, 'node-1'), { waypoint: 'shop/none' });
  await waypoint.client.synced;
  assert.deepEqual(waypoint.configs, [null]);
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
  const control = await started(where, { serverNames: ['127.0.0.1'] });
  const status = await callApi(where.socketPath, 'GET', '/v1/status');
  assert.deepEqual(
    [status.status, status.body.address, status.body.resources],
    [200, control.address, { addresses: 2, policies: 0, waypoints: 0 }],
  );
  const minted = await callApi(
    where.socketPath,
    'POST',
    '/v1/tokens',
    JSON.stringify({ node: 'node-5', ttlSeconds: 60, ...ANYTHING }),
  );
  assert.deepEqual([minted.status, minted.body.rootsPem, minted.body.address], [200, control.rootsPem, control.address]);
  const endpoint = { ...(await endpointOf(control, 'x')), token: async () => String(minted.body.token) };
  await follower(t, endpoint, { node: 'node-5' }).client.synced;
  await eventually(() => control.status().connections[0]?.upToDate === true);
  assert.equal(control.status().connections[0]?.node, 'node-5');

  const bad = ['', '[]', '{}', '{"node":"a b"}', '{"node":"a"}'];
  for (const body of bad)
    assert.equal((await callApi(where.socketPath, 'POST', '/v1/tokens', body)).body.code, 'WEFT_API_BODY', body);
  assert.equal((await callApi(where.socketPath, 'GET', '/v1/other')).status, 404);
});

test('secrets are readable by their owner only', async (t) => {
  const where = await place(t);
  await started(where);
  for (const name of ['root-key.pem', 'token-key.pem']) {
    assert.equal((await stat(join(where.stateDir, name))).mode & 0o777, 0o600, name);
  }
  assert.equal((await stat(where.socketPath)).mode & 0o077, 0);
  assert.match(await readFile(join(where.stateDir, 'root-cert.pem'), 'utf8'), /BEGIN CERTIFICATE/);
});
