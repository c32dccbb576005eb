import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { before, describe, test } from 'node:test';
import { freePort, serving } from '../../src/main/weft-process.testing.ts';
import type { KubernetesConnection } from '../../src/platform/kubernetes/connection.ts';
import { controlClient } from '../../src/platform/local-api/clients.ts';
import { waitUntil } from '../../testbed/processes/wait.ts';
import { apiServer, connectionTo, SKIP } from './cluster.testing.ts';
import { prepare } from './mesh.testing.ts';

/** All of them with `make test-kubernetes`, else a few: to make them takes minutes. */
const [PODS, SERVICES] = process.env.WEFT_KUBERNETES === 'all' ? [10_000, 1_000] : [300, 30];
const RSS_MIB_MAX = 400;
const READY_MS = 120_000;
/** Requests at once while objects are made. */
const AT_ONCE = 32;

describe('many objects', { skip: SKIP }, () => {
  const api = apiServer();
  before(() => (SKIP === false ? prepare(api()) : undefined));

  test('K83: a control plane takes in a cluster of many pods and services, and bears their changes', async (t) => {
    const server = api();
    const connection = await connectionTo(server);
    t.after(() => connection.close());
    // No controller makes it here.
    await server.kubectl('create', 'serviceaccount', 'default', '-n', 'shop');
    const madeMs = performance.now();
    await make(connection);
    t.diagnostic(`${PODS} pods and ${SERVICES} services made in ${Math.round(performance.now() - madeMs)} ms`);
    const dir = await mkdtemp(join(tmpdir(), 'weft-kubernetes-many-'));
    t.after(() => rm(dir, { recursive: true, force: true }));
    const socket = join(dir, 'run', 'control.sock');
    const args = ['--source', 'kubernetes', '--kubeconfig', server.kubeconfig, '--listen', `127.0.0.1:${await freePort()}`];
    const startedMs = performance.now();
    const control = serving(t, ['control', ...args, '--socket', socket, '--state-dir', join(dir, 'state'), '--stats', 'off']);
    await control.said('control plane is serving');
    const readyMs = performance.now() - startedMs;
    const client = controlClient(socket);
    assert.ok((await client.status()).resources.addresses >= PODS + SERVICES, 'all of them are served');
    const rss = () => residentMiB(control.child.pid ?? 0);
    t.diagnostic(`ready after ${Math.round(readyMs)} ms, ${rss()} MiB resident`);
    const changedMs = performance.now();
    await inParallel(SERVICES, (at) =>
      patchPod(connection, at, { phase: 'Running', conditions: [{ type: 'Ready', status: 'False' }] }),
    );
    const name = 'after-all';
    await server.kubectl('create', 'service', 'clusterip', name, '--tcp=80', '-n', 'shop');
    await waitUntil(
      'the last change',
      READY_MS,
      async () => (await client.describe({ kind: 'service', namespace: 'shop', name }).catch(() => null)) !== null,
    );
    t.diagnostic(
      `${SERVICES} changes and one more in force after ${Math.round(performance.now() - changedMs)} ms, ${rss()} MiB resident`,
    );
    assert.ok(rss() < RSS_MIB_MAX, `${rss()} MiB`);
  });
});

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
    await patchPod(connection, at, {
      phase: 'Running',
      podIP: ip,
      podIPs: [{ ip }],
      conditions: [{ type: 'Ready', status: 'True' }],
    });
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

function residentMiB(pid: number): number {
  const line = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
  return Math.round(Number(line?.[1] ?? 0) / 1_024);
}
