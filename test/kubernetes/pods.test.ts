import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { ECHO_IMAGE } from '../../testbed/kubernetes/cluster.ts';
import { waitUntil } from '../../testbed/processes/wait.ts';
import { cluster, SKIP_NODES } from './cluster.testing.ts';
import { InstalledMesh } from './installed.testing.ts';
import { addressOf, ask, type EchoPod, makeNamespace, runEchoPods } from './pods.testing.ts';

const SOON_MS = 30_000;
const READY_MS = 90_000;
const MARK = '{.metadata.annotations.ambient\\.istio\\.io/redirection}';
/** Pods of one node that get the label together. */
const MANY = 20;
const NODE = 'node-a';
/** A connection without an identity to the pod of that name that was let in, and answered. */
const ANSWERED_PROBE = /dst\.workload=probed .*via=plain bytes_sent=[1-9]\d* bytes_recv=[1-9]\d* .*response_flags=- *$/gm;
const PROBES = 5;
/** What an agent has on its node, but for the plugin's program, which whoever still has it in a chain goes on to call. */
const LEFT = '/sys/fs/bpf/weft/* /run/weft/node-* /run/weft/cni.sock /run/weft-nodes/* /var/lib/weft/cni';
const WEB = { name: 'web', namespace: 'shop', node: NODE };
const STORE = { name: 'store', namespace: 'shop', node: 'node-b' };
const STRANGER = { name: 'stranger', namespace: 'outside', node: NODE };
const BY_OTHER_PROBES: readonly EchoPod[] = Object.entries({
  tcp: { tcpSocket: { port: 9090 } },
  grpc: { grpc: { port: 8080 } },
  exec: { exec: { command: ['/echo', 'get', 'http://127.0.0.1:8080/'] } },
}).map(([name, probe]) => ({ name: `by-${name}`, namespace: 'shop', node: NODE, probe }));
const STRICT = `apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: strict, namespace: shop }
spec: { mtls: { mode: STRICT } }
`;

describe('pods that are in the mesh', { skip: SKIP_NODES }, () => {
  const running = cluster();
  let mesh: InstalledMesh;
  const kubectl = (...words: string[]): Promise<string> => running().kubectl(...words);
  const fieldOf = ({ name, namespace }: EchoPod, path: string): Promise<string> =>
    kubectl('get', 'pod', name, '-n', namespace, '-o', `jsonpath=${path}`);
  const enrolled = async (node: string): Promise<string[]> => (await mesh.status(node)).enrolled.map(({ name }) => name).sort();
  const isCaptured = async (pod: EchoPod): Promise<boolean> => (await fieldOf(pod, MARK)) === 'enabled';
  const answers = async (from: EchoPod, to: EchoPod): Promise<boolean> =>
    (await ask(running(), from, `http://${await addressOf(running(), to)}:8080/`)).code === 0;
  const soon = (what: string, isSo: () => Promise<boolean>): Promise<unknown> => waitUntil(what, SOON_MS, isSo);
  /** Ids, on its node, of the processes of a pod whose command line is this one. */
  const processesOf = async (pod: EchoPod, line: string): Promise<string[]> => {
    const uid = await fieldOf(pod, '{.metadata.uid}');
    const script = `for pid in $(cat /sys/fs/cgroup/pids/kubepods/besteffort/pod${uid}/*/cgroup.procs); do
      [ "$(tr '\\0' ' ' </proc/$pid/cmdline)" = '${line} ' ] && echo $pid; done; true`;
    return (await running().node(pod.node).run('bash', '-c', script)).trim().split('\n');
  };

  before(async () => {
    if (SKIP_NODES !== false) return;
    await makeNamespace(running(), 'shop');
    await makeNamespace(running(), 'outside');
    await kubectl('label', 'namespace', 'shop', 'istio.io/dataplane-mode=ambient');
    mesh = await InstalledMesh.install(running());
    await runEchoPods(running(), [WEB, STORE, STRANGER]);
    for (const pod of [WEB, STORE]) await soon(`capture of ${pod.name}`, () => isCaptured(pod));
  });

  test('K49: with mutual TLS required the kubelet still hears how pods are, and a stranger does not', async () => {
    await running().api.apply(STRICT);
    await soon('refusal of a stranger', async () => !(await answers(STRANGER, WEB)));
    const probed = { name: 'probed', namespace: 'shop', node: NODE };
    await runEchoPods(running(), [probed]); // resolves when its readiness probe has succeeded
    await soon('capture of a pod that is probed', () => isCaptured(probed));
    // Each is ready by a probe of its own kind, and refuses whoever else comes so.
    await runEchoPods(running(), BY_OTHER_PROBES);
    for (const pod of BY_OTHER_PROBES) {
      await soon(`capture of ${pod.name}`, () => isCaptured(pod));
      assert.equal(await answers(STRANGER, pod), false, pod.name);
    }
    await kubectl('exec', 'probed', '-n', 'shop', '--', '/echo', 'get', 'http://127.0.0.1:8080/');
    await waitUntil('answer to a pod of the mesh', SOON_MS, () => answers(WEB, probed));
    const since = await fieldOf(probed, '{.status.conditions[?(@.type=="Ready")].lastTransitionTime}');
    const url = `http://${await addressOf(running(), probed)}:8080/`;
    const node = await running().node(NODE).tryRun('curl', '-sS', '-m', '3', url);
    assert.notEqual(node.code, 0, `a program of the node is no kubelet: ${node.stdout}`);
    assert.equal(await answers(STRANGER, probed), false);
    // More than it takes to make a pod unready.
    await soon('probes that were answered', async () => ((await mesh.log(NODE)).match(ANSWERED_PROBE)?.length ?? 0) > PROBES);
    assert.equal(await fieldOf(probed, '{.status.conditions[?(@.type=="Ready")].status}'), 'True');
    assert.equal(await fieldOf(probed, '{.status.conditions[?(@.type=="Ready")].lastTransitionTime}'), since);
    await kubectl('delete', 'pod', 'probed', ...BY_OTHER_PROBES.map(({ name }) => name), '-n', 'shop');
    await kubectl('delete', 'peerauthentication', 'strict', '-n', 'shop');
    await soon('answer to a stranger', () => answers(STRANGER, WEB));
  });

  test('a container that is started again is in the mesh as before', async () => {
    const [pid = ''] = await processesOf(WEB, '/echo serve');
    await running().node(NODE).run('kill', '-KILL', pid);
    await waitUntil(
      'start of the container',
      READY_MS,
      async () => (await fieldOf(WEB, '{.status.containerStatuses[0].restartCount}')) === '1',
    );
    await soon('answer of the pod', () => answers(STORE, WEB));
    assert.ok((await enrolled(NODE)).includes('web'));
  });

  test('K26: a sandbox that is made anew is taken in, with its new address', async () => {
    const before = await addressOf(running(), WEB);
    const [pause = ''] = await processesOf(WEB, '/echo');
    await running().node(NODE).run('kill', '-KILL', pause);
    await waitUntil('another address', READY_MS, async () => ![before, ''].includes(await addressOf(running(), WEB)));
    const address = await addressOf(running(), WEB);
    await soon('enrolment there', async () =>
      (await mesh.status(NODE)).enrolled.some((one) => one.name === 'web' && one.addresses.join() === address && one.ready),
    );
    await soon('answer of the pod', () => answers(STORE, WEB));
    await soon('answer to the pod', () => answers(WEB, STORE));
  });

  test('K25: pods that end leave nothing behind, and what they asked was asked as a pod of the mesh', async () => {
    const url = `http://${await addressOf(running(), STORE)}:8080/`;
    const count = 3;
    for (let at = 0; at < count; at++) {
      const container = { name: 'job', image: ECHO_IMAGE, imagePullPolicy: 'Never', command: ['/echo', 'get', url] };
      const spec = { nodeName: NODE, restartPolicy: 'Never', containers: [container] };
      await running().api.apply(
        JSON.stringify({ apiVersion: 'v1', kind: 'Pod', metadata: { name: `job-${at}`, namespace: 'shop' }, spec }),
      );
    }
    for (let at = 0; at < count; at++)
      await kubectl('wait', '--for=jsonpath={.status.phase}=Succeeded', `pod/job-${at}`, '-n', 'shop', '--timeout', '60s');
    await soon('end of all of them', async () => (await enrolled(NODE)).join() === 'web');
    const links = await running()
      .node(NODE)
      .run('bash', '-c', 'ls /sys/fs/bpf/weft/node-a/*/netns_* /sys/fs/bpf/weft/node-a/netns_* 2>/dev/null; true');
    assert.equal(links.trim().split('\n').length, 1, links);
  });

  test('K28: a pod with the network of its node, or that says none, stays out; an event says why', async () => {
    const container = { name: 'hold', image: ECHO_IMAGE, imagePullPolicy: 'Never', command: ['/echo'] };
    const make = (name: string, labels: object, spec: object): Promise<unknown> =>
      running().api.apply(
        JSON.stringify({
          ...{ apiVersion: 'v1', kind: 'Pod', metadata: { name, namespace: 'shop', labels } },
          spec: { nodeName: NODE, terminationGracePeriodSeconds: 0, containers: [container], ...spec },
        }),
      );
    await make('host', {}, { hostNetwork: true });
    await make('none', { 'istio.io/dataplane-mode': 'none' }, {});
    for (const name of ['host', 'none'])
      await kubectl('wait', '--for=condition=Ready', `pod/${name}`, '-n', 'shop', '--timeout', '60s');
    await soon('an event', async () =>
      /NotInMesh.*network of its node/.test(
        await kubectl('get', 'events', '-n', 'shop', '--field-selector', 'involvedObject.name=host'),
      ),
    );
    assert.deepEqual(await enrolled(NODE), ['web']);
    await kubectl('delete', 'pod', 'host', 'none', '-n', 'shop');
  });

  test('many pods of a node are taken in together, and let go together; none is started again', async (t) => {
    await makeNamespace(running(), 'many');
    const pods = Array.from({ length: MANY }, (_, at) => ({ name: `pod-${at}`, namespace: 'many', node: NODE }));
    await runEchoPods(running(), pods);
    const restarts = (): Promise<string> =>
      kubectl('get', 'pods', '-n', 'many', '-o', 'jsonpath={.items[*].status.containerStatuses[0].restartCount}');
    const before = await restarts();
    const captured = async (): Promise<number> =>
      (
        await kubectl(
          'get',
          'pods',
          '-n',
          'many',
          '-o',
          `jsonpath={.items[*]['metadata.annotations.ambient\\.istio\\.io/redirection']}`,
        )
      )
        .split(' ')
        .filter((one) => one === 'enabled').length;
    const startMs = performance.now();
    await kubectl('label', 'namespace', 'many', 'istio.io/dataplane-mode=weft');
    await soon('capture of all', async () => (await captured()) === MANY);
    t.diagnostic(`${MANY} pods after ${Math.round(performance.now() - startMs)} ms`);
    const [first, last] = [pods[0] ?? WEB, pods.at(-1) ?? WEB];
    await soon('answer', () => answers(first, last));
    await kubectl('label', 'namespace', 'many', 'istio.io/dataplane-mode-');
    await soon('end of all', async () => (await captured()) === 0 && (await enrolled(NODE)).join() === 'web');
    await soon('answer in plain text', () => answers(first, last));
    assert.equal(await restarts(), before);
  });

  test('K46: when the agents are deleted pods are as without a mesh, not started again, and nothing of it is on their nodes', async () => {
    await running().api.apply(STRICT);
    await soon('refusal of a stranger', async () => !(await answers(STRANGER, WEB)));
    const before = await fieldOf(STORE, '{.status.containerStatuses[0].containerID}');
    await kubectl('delete', 'daemonset', 'weft-agent', '-n', 'istio-system', '--timeout', '60s');
    for (const pod of [WEB, STORE]) await soon(`end of the mark of ${pod.name}`, async () => !(await isCaptured(pod)));
    await kubectl('wait', '--for=delete', 'pod', '-l', 'app=weft-agent', '-n', 'istio-system', '--timeout', '60s');
    await soon('answer to a stranger', () => answers(STRANGER, WEB));
    await soon('answer of another node', () => answers(WEB, STORE));
    assert.equal(await fieldOf(STORE, '{.status.containerStatuses[0].containerID}'), before);
    for (const node of running().nodes) {
      const left = await node.run('bash', '-c', `ls -d ${LEFT} 2>/dev/null; grep -rl weft /etc/cni/net.d; true`);
      assert.equal(left, '', node.name);
    }
  });
});
