import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { waitUntil } from '../../testbed/processes/wait.ts';
import { cluster } from './cluster.testing.ts';
import { InstalledMesh } from './installed.testing.ts';
import { ask, type EchoPod, keepAsking, makeNamespace, runEchoPods, serviceAddressOf } from './pods.testing.ts';
import { SKIP_SUITE, SUITE, startDns } from './suite.testing.ts';

const SOON_MS = 30_000;
/** K129. */
const EFFECT_MS_MAX = 20_000;
const WEB = { name: 'web', namespace: 'shop', node: 'node-a' };
const STORE = { name: 'store', namespace: 'shop', node: 'node-b' };
const VAULT = { name: 'vault', namespace: 'bank', node: 'node-b' };
const LOBBY = { name: 'lobby', namespace: 'bank', node: 'node-a' };

const ROUTE = `apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: rewrite, namespace: shop }
spec:
  parentRefs: [{ group: "", kind: Service, name: store }]
  rules:
    - filters: [{ type: URLRewrite, urlRewrite: { path: { type: ReplaceFullPath, replaceFullPath: /routed } } }]
      backendRefs: [{ name: store, port: 80 }]
`;
const DENY = `apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: no-secrets, namespace: bank }
spec: { targetRefs: [{ group: "", kind: Service, name: vault }], action: DENY, rules: [{ to: [{ operation: { paths: [/secret] } }] }] }
`;

describe('a waypoint that nobody named', { skip: SKIP_SUITE }, () => {
  const running = cluster();
  const kubectl = (...words: string[]): Promise<string> => running().kubectl(...words);
  const addresses = new Map<EchoPod, string>();
  const urlOf = (pod: EchoPod, path: string): string => `http://${addresses.get(pod)}${path}`;
  /** What a service answers: `path=/...`, or why there was no answer. */
  const answerOf = async (pod: EchoPod, path: string): Promise<string> => {
    const { code, stdout, stderr } = await ask(running(), WEB, urlOf(pod, path));
    return code === 0 ? (/path=\S*/.exec(stdout)?.[0] ?? stdout) : `failed: ${stderr.trim()}`;
  };
  const becomes = (wanted: string, timeoutMs = SOON_MS): Promise<unknown> =>
    waitUntil(`answer ${wanted}`, timeoutMs, async () => (await answerOf(STORE, '/')) === wanted);
  const waypointPods = (): Promise<string> => {
    const label = 'gateway.networking.k8s.io/gateway-name=weft-auto';
    return kubectl('get', 'pods', '-n', 'shop', '-l', label, '-o', 'jsonpath={.items[*].metadata.uid}');
  };

  before(async () => {
    if (SKIP_SUITE !== false || SUITE === null) return;
    await startDns(running(), SUITE);
    for (const name of ['shop', 'bank']) await makeNamespace(running(), name);
    const pods = [WEB, STORE, VAULT, LOBBY];
    await runEchoPods(running(), pods);
    for (const pod of pods) addresses.set(pod, await serviceAddressOf(running(), pod));
    await InstalledMesh.install(running());
    for (const name of ['shop', 'bank']) await kubectl('label', 'namespace', name, 'istio.io/dataplane-mode=weft');
    await waitUntil('pods that are captured', SOON_MS, async () => {
      const text = await kubectl('get', 'pods', '-A', '-o', 'jsonpath={.items[*].metadata.annotations}');
      return text.split('"ambient.istio.io/redirection":"enabled"').length === pods.length + 1;
    });
  });

  test('K129: a route makes one and takes effect; until then and meanwhile no request fails', async (t) => {
    await becomes('path=/');
    const load = keepAsking(running(), WEB, urlOf(STORE, '/'));
    const startMs = performance.now();
    await running().api.apply(ROUTE);
    await becomes('path=/routed', EFFECT_MS_MAX);
    const effectMs = performance.now() - startMs;
    const outcome = await load.end();
    t.diagnostic(`in force after ${Math.round(effectMs)} ms; ${outcome.trim()}`);
    assert.match(outcome, /^good=[1-9]\d{2,} failed=0\n$/);
    const told = 'jsonpath={.status.parents[*].conditions[?(@.type=="ResolvedWaypoints")].status}';
    await waitUntil(
      'status',
      SOON_MS,
      async () => (await kubectl('get', 'httproute', 'rewrite', '-n', 'shop', '-o', told)) === 'True',
    );
  });

  test('K131: without the route traffic goes on without the waypoint; the next route finds the same one', async () => {
    const pods = await waypointPods();
    await kubectl('delete', 'httproute', 'rewrite', '-n', 'shop');
    await becomes('path=/');
    await running().api.apply(ROUTE);
    await becomes('path=/routed');
    assert.equal(await waypointPods(), pods);
  });

  test('K130: a policy on requests refuses all until the waypoint enforces it: nothing is let past, and other services go on', async () => {
    await waitUntil('answer', SOON_MS, async () => (await answerOf(VAULT, '/secret')) === 'path=/secret');
    await running().api.apply(DENY);
    await waitUntil('refusal', SOON_MS, async () => (await answerOf(VAULT, '/secret')).startsWith('failed'));
    const startMs = performance.now();
    for (let isOpen = false; !isOpen; ) {
      const [secret, open, other] = await Promise.all([
        answerOf(VAULT, '/secret'),
        answerOf(VAULT, '/open'),
        answerOf(LOBBY, '/other'),
      ]);
      assert.match(secret, /^failed/);
      assert.equal(other, 'path=/other');
      isOpen = open === 'path=/open';
      assert.ok(performance.now() - startMs < SOON_MS, open);
    }
    assert.match(await answerOf(VAULT, '/secret'), /^failed: .*403/);
  });
});
