import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { waitUntil } from '../../testbed/processes/wait.ts';
import { cluster, SKIP_LONG } from './cluster.testing.ts';
import { InstalledMesh } from './installed.testing.ts';
import { type Pair, processesOf, undisturbed } from './load.testing.ts';
import { SYSTEM } from './mesh.testing.ts';
import { addressOf, ask, makeNamespace, runEchoPods, serviceAddressOf } from './pods.testing.ts';
import { SKIP_SUITE, SUITE, startDns } from './suite.testing.ts';

const SOON_MS = 60_000;
/** 15 s and the time that this machine takes to tell. */
const LEADS_MS = 20_000;
/** How long the API server is away: five minutes with 300. */
const AWAY_MS = Number(process.env.WEFT_API_AWAY_SECONDS ?? 60) * 1_000;
const READY = '90s';
const WEB = { name: 'web', namespace: 'shop', node: 'node-a' };
const NEAR = { name: 'near', namespace: 'shop', node: 'node-a' };
const STORE = { name: 'store', namespace: 'shop', node: 'node-b' };
/** Within a node, and both ways between two. */
const PAIRS = [
  [WEB, NEAR],
  [WEB, STORE],
  [STORE, WEB],
] as const;
const WAYPOINT = `apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: waypoint, namespace: shop }
spec: { gatewayClassName: weft-waypoint, listeners: [{ name: mesh, port: 15008, protocol: HBONE }] }
`;
const ROUTE = `apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: rewrite, namespace: shop }
spec:
  parentRefs: [{ group: "", kind: Service, name: store, port: 80 }]
  rules:
    - filters: [{ type: URLRewrite, urlRewrite: { path: { type: ReplaceFullPath, replaceFullPath: /routed } } }]
      backendRefs: [{ name: store, port: 80 }]
`;

describe('a mesh of which parts are replaced, die or are away', { skip: SKIP_SUITE !== false ? SKIP_SUITE : SKIP_LONG }, () => {
  const running = cluster();
  let mesh: InstalledMesh;
  const kubectl = (...words: string[]): Promise<string> => running().kubectl(...words);
  const pairsBy = (addressOf: (pod: typeof WEB) => Promise<string>, port: number): Promise<Pair[]> =>
    Promise.all(
      PAIRS.map(async ([from, to]) => {
        const host = await addressOf(to);
        return { from, to, http: `${host}:${port}`, lines: `${host}:9090` };
      }),
    );
  const rolled = async (deployment: string, namespace: string): Promise<number> => {
    const startMs = performance.now();
    await kubectl('rollout', 'restart', `deployment/${deployment}`, '-n', namespace);
    await kubectl('rollout', 'status', `deployment/${deployment}`, '-n', namespace, '--timeout', READY);
    return Math.round(performance.now() - startMs);
  };

  /** A pod that is made now is in the mesh: one of it on another node is answered. */
  const isTakenIn = async (name: string): Promise<void> => {
    const pod = { ...STORE, name };
    await runEchoPods(running(), [pod]);
    const url = `http://${await addressOf(running(), pod)}:8080/`;
    await waitUntil(`answer of ${name}`, SOON_MS, async () => (await ask(running(), WEB, url)).code === 0);
    assert.ok((await mesh.status(pod.node)).enrolled.some((one) => one.name === name));
  };
  const agentsFollow = async (): Promise<void> => {
    for (const { name } of running().nodes) assert.notEqual((await mesh.status(name)).controlPlane.syncedAt, null);
  };
  const leader = (): Promise<string> =>
    kubectl('get', 'lease', 'weft-control', '-n', SYSTEM, '-o', 'jsonpath={.spec.holderIdentity}');
  /** What runs in a pod dies, as when it is out of memory. */
  const killProgramsOf = async (pod: string): Promise<void> => {
    const node = await kubectl('get', 'pod', pod, '-n', SYSTEM, '-o', 'jsonpath={.spec.nodeName}');
    const pids = await processesOf(running(), { name: pod, node });
    await running()
      .node(node)
      .run('kill', '-KILL', ...pids.map(String));
  };

  before(async () => {
    if (SKIP_SUITE !== false || SKIP_LONG !== false || SUITE === null) return;
    await startDns(running(), SUITE);
    await makeNamespace(running(), 'shop');
    await kubectl('label', 'namespace', 'shop', 'istio.io/dataplane-mode=ambient');
    mesh = await InstalledMesh.install(running());
    await runEchoPods(running(), [WEB, NEAR, STORE]);
    for (const { from, http } of await pairsBy((pod) => addressOf(running(), pod), 8080)) {
      await waitUntil('answer', SOON_MS, async () => (await ask(running(), from, `http://${http}/`)).code === 0);
    }
  });

  test('a rollout of the control plane fails no request and ends no stream, within a node and across; agents follow the next one', async (t) => {
    const pairs = await pairsBy((pod) => addressOf(running(), pod), 8080);
    await undisturbed(t, running(), pairs, async () => {
      t.diagnostic(`rolled after ${await rolled('weft-control', SYSTEM)} ms`);
      await isTakenIn('later');
    });
    await agentsFollow();
  });

  test('K92: when the leader dies another leads within 15 s; both served before, and one goes on: no request fails, and pods that start are in the mesh', async (t) => {
    await kubectl('scale', 'deployment/weft-control', '-n', SYSTEM, '--replicas=2');
    await kubectl('rollout', 'status', 'deployment/weft-control', '-n', SYSTEM, '--timeout', READY);
    const former = await leader();
    await undisturbed(t, running(), await pairsBy((pod) => addressOf(running(), pod), 8080), async () => {
      await killProgramsOf(former.split('_')[0] ?? '');
      const startMs = performance.now();
      const next = waitUntil('another leader', LEADS_MS, async () => ![former, ''].includes(await leader())).then(() =>
        t.diagnostic(`another leads after ${Math.round(performance.now() - startMs)} ms`),
      );
      await isTakenIn('meanwhile');
      t.diagnostic(`a pod that came since answers after ${Math.round(performance.now() - startMs)} ms`);
      await next;
    });
    await agentsFollow();
  });

  test('K106: a node with a control plane is drained: the other one serves, no request fails, and pods that start are in the mesh', async (t) => {
    const node = WEB.node;
    const whose = ['-n', SYSTEM, '-l', 'app=weft-control', '--field-selector', `spec.nodeName=${node}`, '-o', 'name'];
    assert.notEqual(await kubectl('get', 'pods', ...whose), '', 'one of two is there');
    await undisturbed(t, running(), await pairsBy((pod) => addressOf(running(), pod), 8080), async () => {
      await kubectl('drain', node, '--pod-selector', 'app=weft-control', '--delete-emptydir-data', '--timeout', READY);
      await isTakenIn('drained');
      await kubectl('rollout', 'status', 'deployment/weft-control', '-n', SYSTEM, '--timeout', READY);
    });
    await kubectl('uncordon', node);
    await agentsFollow();
  });

  test('K85: while the API server is away no request fails and no stream ends; back, pods that start are in the mesh', async (t) => {
    await undisturbed(t, running(), await pairsBy((pod) => addressOf(running(), pod), 8080), async () => {
      await running().api.kill();
      await sleep(AWAY_MS);
      const startMs = performance.now();
      const toldAt = (what: string): void => t.diagnostic(`${what} after ${Math.round(performance.now() - startMs)} ms`);
      await running().api.serveAgain();
      toldAt('the API server is back');
      await isTakenIn('since');
      toldAt('a pod that came since answers');
      // Its kubelet follows the API server anew when it likes, a minute later perhaps: that is no doing of ours.
      const ready = '{.status.conditions[?(@.type=="Ready")].lastTransitionTime}';
      const times = `jsonpath={.metadata.creationTimestamp} {.status.startTime} ${ready}`;
      const told = await kubectl('get', 'pod', 'since', '-n', 'shop', '-o', times);
      const [madeMs = 0, heardMs = 0, readyMs = 0] = told.split(' ').map((time) => Date.parse(time));
      t.diagnostic(
        `its kubelet heard of it ${heardMs - madeMs} ms after it was made, and it was ready after ${readyMs - madeMs} ms`,
      );
    });
  });

  test('K122: a rollout of a waypoint fails no request and ends no stream, within a node and across', async (t) => {
    await running().api.apply(WAYPOINT);
    await kubectl('wait', '--for=condition=Programmed', 'gateway/waypoint', '-n', 'shop', '--timeout', READY);
    await running().api.apply(ROUTE);
    await kubectl('label', 'namespace', 'shop', 'istio.io/use-waypoint=waypoint');
    const pairs = await pairsBy((pod) => serviceAddressOf(running(), pod), 80);
    for (const node of [WEB, STORE]) {
      const url = `http://${await serviceAddressOf(running(), STORE)}/`;
      await waitUntil('route', SOON_MS, async () => (await ask(running(), node, url)).stdout.includes('path=/routed'));
    }
    await kubectl('rollout', 'status', 'deployment/waypoint', '-n', 'shop', '--timeout', READY);
    await undisturbed(t, running(), pairs, async () => {
      t.diagnostic(`rolled after ${await rolled('waypoint', 'shop')} ms`);
    });
  });
});
