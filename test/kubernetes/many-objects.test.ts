import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { before, describe, type TestContext, test } from 'node:test';
import { ANYTHING, follower } from '../../src/main/control/control-rig.testing.ts';
import { freePort, serving } from '../../src/main/weft-process.testing.ts';
import type { ControlEndpoint } from '../../src/platform/grpc/control-channel.ts';
import type { KubernetesConnection } from '../../src/platform/kubernetes/connection.ts';
import { controlClient } from '../../src/platform/local-api/clients.ts';
import { apiServer, connectionTo, SKIP } from './cluster.testing.ts';
import { prepare } from './mesh.testing.ts';

/** All of them with `make test-kubernetes`, else a few: to make them takes minutes. */
const [PODS, SERVICES] = process.env.WEFT_KUBERNETES === 'all' ? [10_000, 1_000] : [300, 30];
const RSS_MIB_MAX = 400;
/** Changes that are made one after the other. */
const CHANGES = Math.min(200, SERVICES);
/** Requests at once while objects are made. */
const AT_ONCE = 32;

describe('many objects', { skip: SKIP }, () => {
  const api = apiServer();
  before(() => (SKIP === false ? prepare(api()) : undefined));

  test('K83, K84: a control plane takes in a cluster of many pods and services, tells each change, and reads nothing twice when the API server was away', async (t) => {
    const server = api();
    const connection = await connectionTo(server);
    t.after(() => connection.close());
    // No controller makes it here.
    await server.kubectl('create', 'serviceaccount', 'default', '-n', 'shop');
    const madeMs = performance.now();
    await make(connection);
    t.diagnostic(`${PODS} pods and ${SERVICES} services made in ${since(madeMs)} ms`);
    const startedMs = performance.now();
    const { child, client, endpoint, received } = await controlProcess(t, server.kubeconfig);
    t.diagnostic(`ready after ${since(startedMs)} ms, ${residentMiB(child)} MiB resident`);
    const first = await received();
    t.diagnostic(`bytes of the first reading: ${told(first)}`);
    assert.ok((await client.status()).resources.addresses >= PODS + SERVICES, 'all of them are served');
    const agent = follower(t, await endpoint());
    await agent.until(() => agent.workloads.size >= PODS);

    const changedMs = performance.now();
    await inParallel(SERVICES, (at) => patchPod(connection, at, READY('False')));
    await agent.until(() => [...agent.workloads.values()].filter(({ healthy }) => !healthy).length === SERVICES);
    t.diagnostic(
      `${SERVICES} changes at once known to an agent after ${since(changedMs)} ms, ${residentMiB(child)} MiB resident`,
    );
    t.diagnostic(`one change, from its write to an agent: ${spread(await oneByOne(connection, agent))}`);
    assert.ok(residentMiB(child) < RSS_MIB_MAX, `${residentMiB(child)} MiB`);

    const before = await received();
    await server.kill();
    await server.serveAgain();
    await patchPod(connection, 0, READY('True'));
    await agent.until(() => agent.workloads.get(uidOf(0))?.healthy === true);
    const after = new Map([...(await received())].map(([resource, bytes]) => [resource, bytes - (before.get(resource) ?? 0)]));
    t.diagnostic(`bytes after the API server was away: ${told(after)}`);
    assert.ok((after.get('pods') ?? 0) < 1.5 * (first.get('pods') ?? 0), 'pods are read once more at most');
    assert.ok(residentMiB(child) < RSS_MIB_MAX, `${residentMiB(child)} MiB`);
  });
});

/** `weft control` over the cluster, with what asks it. When this resolves it serves. */
async function controlProcess(t: TestContext, kubeconfig: string) {
  const dir = await mkdtemp(join(tmpdir(), 'weft-kubernetes-many-'));
  t.after(() => rm(dir, { recursive: true, force: true }));
  const socket = join(dir, 'run', 'control.sock');
  const [address, stats] = [`127.0.0.1:${await freePort()}`, `127.0.0.1:${await freePort()}`];
  const args = ['--source', 'kubernetes', '--kubeconfig', kubeconfig, '--listen', address, '--stats', stats];
  const control = serving(t, ['control', ...args, '--socket', socket, '--state-dir', join(dir, 'state')]);
  await control.said('control plane is serving');
  const client = controlClient(socket);
  return {
    child: control.child,
    client,
    endpoint: async (): Promise<ControlEndpoint> => {
      const { token, rootsPem } = await client.token({ node: 'node-1', ...ANYTHING });
      return { address, rootsPem: async () => rootsPem, token: async () => token, serverName: null, clusterId: 'Kubernetes' };
    },
    /** Bytes from the API server until now, by resource. */
    received: async (): Promise<Map<string, number>> => {
      const page = await (await fetch(`http://${stats}/metrics`)).text();
      const lines = page.matchAll(/^weft_api_server_received_bytes_total\{resource="([^"]+)"\} (\d+)/gm);
      return new Map([...lines].map(([, resource = '', bytes]) => [resource, Number(bytes)]));
    },
  };
}

/** Milliseconds from each of many changes to the moment when an agent knows it, one after the other. */
async function oneByOne(connection: KubernetesConnection, agent: ReturnType<typeof follower>): Promise<number[]> {
  const times: number[] = [];
  for (let at = 0; at < CHANGES; at++) {
    const healthy = agent.workloads.get(uidOf(at))?.healthy === true;
    const startMs = performance.now();
    const known = agent.until(() => agent.workloads.get(uidOf(at))?.healthy === !healthy);
    await patchPod(connection, at, READY(healthy ? 'False' : 'True'));
    await known;
    times.push(performance.now() - startMs);
  }
  return times.sort((one, other) => one - other);
}

const READY = (status: string) => ({ phase: 'Running', conditions: [{ type: 'Ready', status }] });
const uidOf = (at: number): string => `Kubernetes//Pod/shop/p${at}`;
const since = (startMs: number): number => Math.round(performance.now() - startMs);
const spread = (sorted: readonly number[]): string =>
  [0.5, 0.99].map((share) => `${sorted[Math.floor(sorted.length * share)]?.toFixed(1)} ms at p${share * 100}`).join(', ');
/** The resources with most of them first. */
const told = (bytes: ReadonlyMap<string, number>): string =>
  [...bytes]
    .filter(([, count]) => count > 0)
    .sort(([, one], [, other]) => other - one)
    .slice(0, 6)
    .map(([resource, count]) => `${resource} ${count}`)
    .join(', ');

async function make(connection: KubernetesConnection): Promise<void> {
  await inParallel(SERVICES, (at) =>
    create(connection, 'services', {
      kind: 'Service',
      metadata: { name: `s${at}`, namespace: 'shop' },
      spec: { selector: { app: `a${at}` }, ports: [{ name: 'http', port: 80, targetPort: 8080 }] },
    }),
  );
  await inParallel(PODS, async (at) => {
    await create(connection, 'pods', pod(at));
    const ip = `10.${Math.floor(at / 65_536) + 1}.${Math.floor(at / 256) % 256}.${at % 256}`;
    await patchPod(connection, at, { ...READY('True'), podIP: ip, podIPs: [{ ip }] });
  });
}

/** As large as pods are: most of one is nothing to the mesh. */
function pod(at: number): object {
  const env = Array.from({ length: 20 }, (_, one) => ({ name: `SETTING_${one}`, value: 'some value of middling length' }));
  return {
    kind: 'Pod',
    metadata: {
      name: `p${at}`,
      namespace: 'shop',
      labels: { app: `a${at % SERVICES}`, 'pod-template-hash': 'abcdef1234' },
      annotations: { 'ambient.istio.io/redirection': 'enabled' },
    },
    spec: {
      nodeName: `node-${at % 100}`,
      serviceAccountName: 'default',
      containers: [{ name: 'app', image: 'registry.example/app:1', env, ports: [{ name: 'http', containerPort: 8080 }] }],
    },
  };
}

async function create(connection: KubernetesConnection, plural: string, object: object): Promise<void> {
  await connection.ask({ method: 'POST', path: `/api/v1/namespaces/shop/${plural}`, body: { apiVersion: 'v1', ...object } });
}

async function patchPod(connection: KubernetesConnection, at: number, status: object): Promise<void> {
  const contentType = 'application/strategic-merge-patch+json';
  await connection.ask({ method: 'PATCH', path: `/api/v1/namespaces/shop/pods/p${at}/status`, body: { status }, contentType });
}

async function inParallel(count: number, one: (at: number) => Promise<void>): Promise<void> {
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < count) await one(next++);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
}

function residentMiB({ pid = 0 }: ChildProcess): number {
  const line = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
  return Math.round(Number(line?.[1] ?? 0) / 1_024);
}
