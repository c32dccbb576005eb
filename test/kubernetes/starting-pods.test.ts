import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { reportWire } from '../../testbed/observers/wire-report.ts';
import { waitUntil } from '../../testbed/processes/wait.ts';
import { cluster, SKIP_NODES } from './cluster.testing.ts';
import { InstalledMesh } from './installed.testing.ts';
import { addressOf, ask, type EchoPod, makeJobs, makeNamespace, runEchoPods } from './pods.testing.ts';

const SOON_MS = 30_000;
/** For many pods on this machine. */
const MANY_MS = 480_000;
/** All of them with `make test-kubernetes`: a busy machine needs minutes for those. */
const MANY = Number(process.env.WEFT_STARTING_PODS ?? (process.env.WEFT_KUBERNETES === 'all' ? 200 : 25));
const ALONE = 10;
const NODE = 'node-a';
const STORE = { name: 'store', namespace: 'shop', node: 'node-b' };
const NEAR = { name: 'near', namespace: 'shop', node: NODE };
const CONFLIST = '/etc/cni/net.d/10-testbed.conflist';
const RESTARTS = 'jsonpath={.items[*].status.containerStatuses[0].restartCount}';
const PLUGIN = '/opt/cni/bin/weft-cni';

describe('pods that start in the mesh', { skip: SKIP_NODES }, () => {
  const running = cluster();
  let mesh: InstalledMesh;
  const kubectl = (...words: string[]): Promise<string> => running().kubectl(...words);
  const onNode = (script: string): Promise<string> => running().node(NODE).run('bash', '-c', script);
  const soon = (what: string, isSo: () => Promise<boolean>): Promise<unknown> => waitUntil(what, SOON_MS, isSo);
  const urlOf = async (pod: EchoPod): Promise<string> => `http://${await addressOf(running(), pod)}:8080/secret`;
  const onLink = <Result>(body: () => Promise<Result>) => running().captureLink(NODE, body, 'tcp port 15012');
  const jobs = (names: readonly string[], url: string, namespace = 'shop'): Promise<void> =>
    makeJobs(running(), names, { node: NODE, url, namespace });
  const phases = async (namespace = 'shop'): Promise<string[]> =>
    (await kubectl('get', 'pods', '-n', namespace, '-l', 'job=yes', '-o', 'jsonpath={.items[*].status.phase}')).split(' ');
  const haveEnded = async (count: number): Promise<boolean> =>
    (await phases()).filter((phase) => phase === 'Succeeded').length === count;
  const removeJobs = (): Promise<string> => kubectl('delete', 'pods', '-n', 'shop', '-l', 'job=yes');
  /** All of the link is the mesh's, and some of it there was. */
  const assertTunnelled = (file: Buffer): void => {
    const report = reportWire(file);
    assert.deepEqual(report.problems, []);
    assert.ok(report.encryptedBytes > 0, JSON.stringify(report));
    assert.equal(file.includes('GET /secret'), false);
  };

  /** What the ADDs since the last time took, as the runtime sees it. */
  const addTimes = async (how: string, count: number): Promise<string> => {
    const text = await onNode('cat /run/cni-times; : >/run/cni-times');
    const tookMs = text
      .trim()
      .split('\n')
      .map(Number)
      .sort((one, other) => one - other);
    assert.ok(tookMs.length >= count, 'a kubelet may make a sandbox twice, and none without us');
    const at = (share: number): number | undefined => tookMs[Math.floor(tookMs.length * share)];
    return `ADD ${how} took ${at(0.5)} ms at p50, ${at(0.95)} ms at p95, ${tookMs.at(-1)} ms at most`;
  };

  before(async () => {
    if (SKIP_NODES !== false) return;
    for (const name of ['shop', 'outside']) await makeNamespace(running(), name);
    await kubectl('label', 'namespace', 'shop', 'istio.io/dataplane-mode=ambient');
    // As some primaries run: not root's, and closed to others.
    const foreign = 'chown -R 1000:1000 /etc/cni/net.d; chmod 700 /etc/cni/net.d';
    for (const node of running().nodes) await node.run('bash', '-c', foreign);
    mesh = await InstalledMesh.install(running());
    await runEchoPods(running(), [STORE, NEAR]);
    await soon('path between the nodes', async () => (await ask(running(), NEAR, await urlOf(STORE))).code === 0);
  });

  test('K1, K141: an agent that starts has put the plugin into the chain, also where root owns nothing; what others wrote there stays byte for byte, and theirs', async () => {
    for (const node of running().nodes) {
      const text = await node.file(CONFLIST);
      assert.ok(text.includes('{"type":"weft-cni"}'), text);
      const before = text.replace(',{"type":"weft-cni"}', '');
      assert.match(before, /"routes": \[\{"dst": "0\.0\.0\.0\/0"\}\],/);
      assert.equal(await node.run('stat', '-c', '%a %u:%g', CONFLIST), '644 1000:1000\n');
      const files = await node.run('bash', '-c', 'cd /etc/cni/net.d; find . -type f | sort');
      assert.match(files, /^\.\/10-testbed\.conflist\n\.\/[\w-]+\/90-weft\.conf\n$/);
    }
  });

  test('K24: what a pod does first is in the mesh: between nodes TLS alone, on one node by the kernel', async () => {
    const [far, near] = [await urlOf(STORE), await urlOf(NEAR)];
    const { file } = await onLink(async () => {
      await jobs(['first-far'], far);
      await jobs(['first-near'], near);
      await soon('ends of both', () => haveEnded(2));
    });
    assertTunnelled(file);
    assert.match(await kubectl('logs', 'first-far', '-n', 'shop'), /^host=store/);
    const direct = /src\.workload=first-near .*dst\.workload=near .*via=(direct|local)/;
    await soon('direct connection', async () => direct.test(await mesh.log(NODE)));
    await removeJobs();
  });

  test('many pods at once are all in the mesh before they start, and none talks in plain text; what ADD takes', async (t) => {
    t.after(() => removeJobs());
    await onNode(TIMED);
    const url = await urlOf(STORE);
    // One that is refused at first is started again by its kubelet, which waits longer each time.
    for (let at = 0; at < ALONE; at++) {
      await jobs([`alone-${at}`], url);
      await waitUntil('its end', MANY_MS, () => haveEnded(at + 1));
    }
    await removeJobs();
    t.diagnostic(await addTimes('one by one', ALONE));
    const startMs = performance.now();
    const { file } = await onLink(async () => {
      await jobs(
        Array.from({ length: MANY }, (_, at) => `job-${at}`),
        url,
      );
      await waitUntil('ends of all', MANY_MS, () => haveEnded(MANY));
      const again = await kubectl('get', 'pods', '-n', 'shop', '-l', 'job=yes', '-o', RESTARTS);
      // The control plane hears of a pod's address from its kubelet, which on a busy machine takes longer than connections wait.
      t.diagnostic(`${again.split(' ').filter((count) => count !== '0').length} of them were refused at first`);
    });
    assertTunnelled(file);
    t.diagnostic(`${MANY} pods after ${Math.round(performance.now() - startMs)} ms`);
    t.diagnostic(await addTimes('at once', MANY));
    await onNode(UNTIMED);
    await removeJobs();
    await soon('end of all', async () => (await mesh.status(NODE)).enrolled.map(({ name }) => name).join() === 'near');
  });

  test('K16, K17: while no agent runs pods of the mesh wait, and an event says for what; others start', async () => {
    await kubectl('label', 'node', 'node-b', 'weft-test=yes');
    const only = (selector: object): Promise<string> =>
      kubectl(
        'patch',
        'daemonset',
        'weft-agent',
        '-n',
        'istio-system',
        '--type=merge',
        '-p',
        JSON.stringify({ spec: { template: { spec: { nodeSelector: selector } } } }),
      );
    await only({ 'kubernetes.io/os': 'linux', 'weft-test': 'yes' });
    const agents = (): Promise<string> =>
      kubectl(
        'get',
        'pods',
        '-n',
        'istio-system',
        '-l',
        'app=weft-agent',
        '--field-selector',
        `spec.nodeName=${NODE}`,
        '-o',
        'name',
      );
    await waitUntil('end of the agent, which waits for a next one first', MANY_MS, async () => (await agents()) === '');
    await runEchoPods(running(), [{ name: 'other', namespace: 'outside', node: NODE }]);
    const url = await urlOf(STORE);
    const { file } = await onLink(async () => {
      await jobs(['waits'], url);
      await waitUntil('an event', SOON_MS * 2, async () =>
        /FailedCreatePodSandBox.*the agent of Weft does not answer on this node.*shop\/waits/.test(
          await kubectl('get', 'events', '-n', 'shop', '--field-selector', 'involvedObject.name=waits'),
        ),
      );
      assert.deepEqual(await phases(), ['Pending']);
      await only({ 'weft-test': null } as never);
      await waitUntil('end of the one that waited', SOON_MS * 3, () => haveEnded(1));
    });
    assertTunnelled(file);
    await removeJobs();
    await kubectl('delete', 'pod', 'other', '-n', 'outside');
  });
});

/** Puts a script in the place of the plugin that writes how many milliseconds each ADD of it takes. */
const TIMED = `mv ${PLUGIN} ${PLUGIN}.real; cat >${PLUGIN} <<'END'
#!/bin/bash
start=\${EPOCHREALTIME/./}
${PLUGIN}.real
code=$?
[ "$CNI_COMMAND" != ADD ] || echo "$(( (\${EPOCHREALTIME/./} - start) / 1000 ))" >>/run/cni-times
exit $code
END
chmod 755 ${PLUGIN}`;
const UNTIMED = `mv ${PLUGIN}.real ${PLUGIN}`;
