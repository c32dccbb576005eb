import assert from 'node:assert/strict';
import { before, describe, type TestContext, test } from 'node:test';
import { reportWire } from '../../testbed/observers/wire-report.ts';
import { waitUntil } from '../../testbed/processes/wait.ts';
import { cluster, SKIP_NODES } from './cluster.testing.ts';
import { InstalledMesh } from './installed.testing.ts';
import { addressOf, ask, makeJobs, makeNamespace, runEchoPods } from './pods.testing.ts';

const SOON_MS = 60_000;
const AGAIN_MS = 180_000;
const NODE = 'node-a';
const STORE = { name: 'store', namespace: 'shop', node: 'node-b' };
const NEAR = { name: 'near', namespace: 'shop', node: NODE };
const CONFLIST = '/etc/cni/net.d/10-testbed.conflist';
const ENTRY = '{"type":"weft-cni"}';
/** Another program that knows nothing of us, and writes its file once a second. */
const REWRITES = `sed 's/,${ENTRY}//' ${CONFLIST} >/run/bare; for second in $(seq 60); do
  cp /run/bare ${CONFLIST}.other && mv ${CONFLIST}.other ${CONFLIST}; sleep 1; done`;

describe('a node on which something goes wrong', { skip: SKIP_NODES }, () => {
  const running = cluster();
  let mesh: InstalledMesh;
  let number = 0;
  const kubectl = (...words: string[]): Promise<string> => running().kubectl(...words);
  const onNode = (script: string): Promise<string> => running().node(NODE).run('bash', '-c', script);
  const urlOf = async (): Promise<string> => `http://${await addressOf(running(), STORE)}:8080/secret`;
  /** A pod of the node that asks another node as the first thing it does; resolves with its name when it was answered. */
  const startOne = async (): Promise<string> => {
    const name = `job-${number++}`;
    await makeJobs(running(), [name], { node: NODE, url: await urlOf() });
    await waitUntil(`end of ${name}`, AGAIN_MS, async () => {
      const phase = await kubectl('get', 'pod', name, '-n', 'shop', '-o', 'jsonpath={.status.phase}');
      return phase === 'Succeeded';
    });
    return name;
  };
  /** What goes over the link while pods are started, until `body` is over: it is the mesh's alone. */
  const startedMeanwhile = async (t: TestContext, body: () => Promise<unknown>): Promise<Buffer> => {
    const { file } = await running().captureLink(
      NODE,
      async () => {
        let isOver = false;
        const over = body().finally(() => {
          isOver = true;
        });
        let count = 0;
        for (; !isOver; count++) await startOne();
        await over;
        await startOne();
        t.diagnostic(`${count + 1} pods were started`);
      },
      'tcp port 15012',
    );
    return file;
  };
  const assertTunnelled = (file: Buffer): void => {
    const report = reportWire(file);
    assert.deepEqual(report.problems, []);
    assert.ok(report.encryptedBytes > 0, JSON.stringify(report));
  };
  const containerOf = (): Promise<string> =>
    kubectl('get', 'pod', 'near', '-n', 'shop', '-o', 'jsonpath={.status.containerStatuses[0].containerID}');
  const answers = async (): Promise<boolean> => (await ask(running(), NEAR, await urlOf())).code === 0;

  before(async () => {
    if (SKIP_NODES !== false) return;
    await makeNamespace(running(), 'shop');
    await kubectl('label', 'namespace', 'shop', 'istio.io/dataplane-mode=ambient');
    mesh = await InstalledMesh.install(running());
    await runEchoPods(running(), [STORE, NEAR]);
    await waitUntil('path between the nodes', SOON_MS, answers);
  });

  for (const program of ['kubelet', 'containerd']) {
    test(`K24: pods that start while ${program} is started anew are in the mesh; those that run stay there`, async (t) => {
      const file = await startedMeanwhile(t, async () => {
        await onNode(`pkill -KILL -x ${program}`);
        await waitUntil(`the next ${program}`, SOON_MS, async () => (await onNode(`pgrep -x ${program} || true`)) !== '');
      });
      assertTunnelled(file);
      await waitUntil('answer', SOON_MS, answers);
      assert.ok((await mesh.status(NODE)).enrolled.some(({ name }) => name === 'near'));
    });
  }

  test('K38: a node that starts anew has its pods in the mesh before they talk, those that run again and those that start', async (t) => {
    const before = await containerOf();
    const { file } = await running().captureLink(
      STORE.node, // the link of the other goes with it
      async () => {
        await running().reboot(NODE);
        await waitUntil('another container', AGAIN_MS, async () => ![before, ''].includes(await containerOf()));
        t.diagnostic(`${await startOne()} was answered`);
      },
      'tcp port 15012 or icmp', // a node that has not its pods yet says so
    );
    assertTunnelled(file);
    await waitUntil('answer', SOON_MS, answers);
  });

  test('K2: a primary network that is rewritten every second for a minute: the plugin is in the chain again each time, every pod is taken in', async (t) => {
    const first = number;
    const file = await startedMeanwhile(t, () => running().node(NODE).start('rewriter', ['bash', '-c', REWRITES]).then(ended));
    await waitUntil('the plugin in the chain', SOON_MS, async () => (await running().node(NODE).file(CONFLIST)).includes(ENTRY));
    const log = await mesh.log(NODE);
    for (let at = first; at < number; at++)
      assert.ok(log.includes(`workload enrolled workload=Kubernetes//Pod/shop/job-${at} `), `job-${at}`);
    // A runtime with libcni before 1.3 reads nothing else: what starts within the milliseconds in between is taken in a moment later.
    t.diagnostic(reportWire(file).problems.length === 0 ? 'none talked in plain text' : 'one started in between, in plain text');
  });
});

async function ended(program: { isRunning(): boolean }): Promise<void> {
  await waitUntil('end of the rewriting', AGAIN_MS, async () => !program.isRunning());
}
