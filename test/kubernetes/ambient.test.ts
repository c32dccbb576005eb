import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import type { Cluster } from '../../testbed/kubernetes/cluster.ts';
import { reportWire } from '../../testbed/observers/wire-report.ts';
import { command } from '../../testbed/processes/command.ts';
import { weft } from '../../testbed/processes/command-lines.ts';
import { waitUntil } from '../../testbed/processes/wait.ts';
import { cluster, SKIP_NODES } from './cluster.testing.ts';
import { InstalledMesh } from './installed.testing.ts';
import { addressOf, ask, type EchoPod, keepTalking, makeNamespace, runEchoPods, serviceAddressOf } from './pods.testing.ts';

const SOON_MS = 20_000;
/** The promise: pods that run already are in the mesh this soon after their namespace got the label. */
const ENROLL_MS_MAX = 5_000;
const LABEL = 'istio.io/dataplane-mode';
const WEB = { name: 'web', namespace: 'shop', node: 'node-a' };
const NEAR = { name: 'near', namespace: 'shop', node: 'node-a' };
const STORE = { name: 'store', namespace: 'shop', node: 'node-b' };
/** Not there at the beginning. */
const LATE = { name: 'late', namespace: 'shop', node: 'node-b' };
/** Not in the mesh. */
const STRANGER = { name: 'stranger', namespace: 'outside', node: 'node-b' };

const SKIP =
  SKIP_NODES !== false || (await command(weft('agent', '--help'))).includes('--kubernetes')
    ? SKIP_NODES
    : 'PODS ARE NOT TESTED HERE: this agent does not take the pods of its node into the mesh (weft agent --kubernetes)';

describe('a mesh on the nodes of a cluster', { skip: SKIP }, () => {
  const running = cluster();
  let mesh: InstalledMesh;
  const urls = new Map<EchoPod, string>();
  const urlOf = (pod: EchoPod): string => urls.get(pod) ?? '';
  const kubectl = (...words: string[]): Promise<string> => running().kubectl(...words);
  /** What distinguishes a pod that was never restarted. */
  const lives = (): Promise<string> =>
    kubectl(
      'get',
      'pods',
      '-n',
      'shop',
      '-o',
      'jsonpath={range .items[*]}{.metadata.uid}={.status.containerStatuses[0].restartCount} {end}',
    );
  /** What is on the link between the nodes, but for what agents have with their control plane, which is a pod here. */
  const onLink = <Result>(body: () => Promise<Result>) => running().captureLink('node-a', body, 'tcp port 15012');
  const answers = async (from: EchoPod, to: EchoPod): Promise<boolean> => (await ask(running(), from, urlOf(to))).code === 0;

  before(async () => {
    if (SKIP !== false) return;
    await makeNamespace(running(), 'shop');
    await makeNamespace(running(), 'outside');
    await runEchoPods(running(), [WEB, NEAR, STORE, STRANGER]);
    for (const pod of [WEB, NEAR, STORE]) urls.set(pod, `http://${await addressOf(running(), pod)}:8080/secret`);
    mesh = await InstalledMesh.install(running());
  });

  test('agents know the pods of all nodes, and without a label those talk as before', async () => {
    for (const { name } of running().nodes) {
      const { workloads, enrolled } = await mesh.status(name);
      const uids = workloads.map(({ uid }) => uid.split('/').slice(-2).join('/'));
      for (const pod of ['shop/web', 'shop/store', 'outside/stranger'])
        assert.ok(uids.includes(pod), `${pod} is in ${uids.join()}`);
      assert.deepEqual(enrolled, []);
    }
    const { result, file } = await onLink(() => ask(running(), WEB, urlOf(STORE)));
    assert.equal(result.code, 0);
    assert.ok(file.includes('GET /secret'), 'in plain text');
  });

  test('with the label of their namespace pods that run are in the mesh within 5 s, not restarted; connections of before go on', async (t) => {
    const [before, address] = [await lives(), await addressOf(running(), STORE)];
    const talk = keepTalking(running(), WEB, `${address}:9090`);
    t.after(() => talk.stop());
    let lines = 0;
    talk.onLine(() => lines++);
    await waitUntil('lines', SOON_MS, () => lines > 2);
    const startMs = performance.now();
    await kubectl('label', 'namespace', 'shop', `${LABEL}=ambient`);
    await waitUntil('pods that are captured', SOON_MS, async () => (await captured(running())).length === 3);
    const enrolledMs = performance.now() - startMs;
    t.diagnostic(`in the mesh after ${Math.round(enrolledMs)} ms`);
    assert.ok(enrolledMs < ENROLL_MS_MAX, `${enrolledMs} ms`);
    assert.equal(await lives(), before);
    const seen = lines;
    await waitUntil('lines of the connection of before', SOON_MS, () => lines > seen + 5);
  });

  test('between nodes everything is TLS 1.3 to port 15008, by the address of a pod and of a service; the server sees the caller', async () => {
    await meshBetween(WEB, STORE);
    const service = `http://${await serviceAddressOf(running(), STORE)}/secret`;
    const { result, file } = await onLink(async () => {
      await waitUntil('answer of the service', SOON_MS, async () => (await ask(running(), WEB, service)).code === 0);
      return [await ask(running(), WEB, urlOf(STORE)), await ask(running(), WEB, service)];
    });
    const address = await addressOf(running(), WEB);
    for (const { stdout } of result) assert.match(stdout, new RegExp(`^host=store from=${address}:`));
    const report = reportWire(file);
    assert.deepEqual(report.problems, []);
    assert.ok(report.connections > 0 && report.encryptedBytes > 0, JSON.stringify(report));
    assert.equal(file.includes('GET /secret'), false);
  });

  test('on one node the kernel carries connections by itself', async () => {
    assert.ok(await answers(WEB, NEAR));
    const direct =
      /src\.workload=web .*dst\.workload=near .*dst\.identity=spiffe:\/\/cluster\.local\/ns\/shop\/sa\/default .*via=direct/;
    await waitUntil('direct connection', SOON_MS, async () => direct.test(await mesh.log('node-a')));
  });

  test('a policy that denies is in force on one node and between two, and ends with its object', async () => {
    await running().api.apply(DENY);
    for (const pod of [STORE, NEAR]) await waitUntil(`refusal by ${pod.name}`, SOON_MS, async () => !(await answers(WEB, pod)));
    assert.ok(await answers(STRANGER, STORE), 'others are not denied');
    await kubectl('delete', 'authorizationpolicy', 'deny', '-n', 'shop');
    for (const pod of [STORE, NEAR]) await waitUntil(`answer of ${pod.name}`, SOON_MS, () => answers(WEB, pod));
  });

  test('a pod that starts in the mesh is captured; with mutual TLS required strangers are refused and pods are not', async () => {
    await runEchoPods(running(), [LATE]);
    await waitUntil('capture of a later pod', SOON_MS, async () => (await captured(running())).includes(LATE.name));
    urls.set(LATE, `http://${await addressOf(running(), LATE)}:8080/`);
    assert.ok(await answers(STRANGER, LATE));
    await running().api.apply(STRICT);
    await waitUntil('refusal of a stranger', SOON_MS, async () => !(await answers(STRANGER, LATE)));
    await waitUntil('answer of a later pod', SOON_MS, () => answers(WEB, LATE));
    await kubectl('delete', 'peerauthentication', 'strict', '-n', 'shop');
    await waitUntil('answer to a stranger', SOON_MS, () => answers(STRANGER, LATE));
    await kubectl('delete', 'pod', LATE.name, '-n', 'shop');
    await waitUntil('end of the pod', SOON_MS, async () => (await mesh.status('node-b')).enrolled.length === 1);
  });

  test('an agent that is killed leaves connections on its node to the kernel; the next one has the pods of before', async () => {
    const pid = await mesh.killAgent('node-a');
    assert.ok(await answers(WEB, NEAR));
    await mesh.restarted('node-a', pid);
    assert.deepEqual((await mesh.status('node-a')).enrolled.map(({ name }) => name).sort(), ['near', 'web']);
    await meshBetween(WEB, STORE);
  });

  test('without the label pods are out of the mesh again, not restarted, and talk in plain text', async () => {
    const before = await lives();
    await kubectl('label', 'namespace', 'shop', `${LABEL}-`);
    await waitUntil('pods that are not captured', SOON_MS, async () => (await captured(running())).length === 0);
    for (const { name } of running().nodes) assert.deepEqual((await mesh.status(name)).enrolled, []);
    await waitUntil('plain text', SOON_MS, async () => {
      const { result, file } = await onLink(() => ask(running(), WEB, urlOf(STORE)));
      return result.code === 0 && file.includes('GET /secret');
    });
    assert.equal(await lives(), before);
  });

  /** Agents hear one after the other of what is in the mesh: until both know, one of them may still talk plainly. */
  async function meshBetween(from: EchoPod, to: EchoPod): Promise<void> {
    const uid = `/${to.namespace}/${to.name}`;
    await waitUntil(`path to ${to.name}`, SOON_MS, async () =>
      (await mesh.status(from.node)).workloads.some((one) => one.uid.endsWith(uid) && one.path === 'hbone'),
    );
    await waitUntil(`answer of ${to.name}`, SOON_MS, () => answers(from, to));
  }
});

/** Pods of which it is written that their connections are captured; by name. */
async function captured(on: Cluster): Promise<string[]> {
  const text = await on.kubectl('get', 'pods', '-n', 'shop', '-o', 'json');
  const { items } = JSON.parse(text) as { items: { metadata: { name: string; annotations?: Record<string, string> } }[] };
  return items
    .filter(({ metadata }) => metadata.annotations?.['ambient.istio.io/redirection'] === 'enabled')
    .map(({ metadata }) => metadata.name);
}

const DENY = `apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: deny, namespace: shop }
spec: { action: DENY, rules: [{ from: [{ source: { principals: [cluster.local/ns/shop/sa/default] } }] }] }
`;
const STRICT = `apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: strict, namespace: shop }
spec: { mtls: { mode: STRICT } }
`;
