import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { type CommandResult, tryCommand } from '../../testbed/processes/command.ts';
import { waitUntil } from '../../testbed/processes/wait.ts';
import { cluster, SKIP_LONG } from './cluster.testing.ts';
import { loadWeft } from './installed.testing.ts';
import { SYSTEM } from './mesh.testing.ts';
import { addressOf, ask, makeNamespace, runEchoPods } from './pods.testing.ts';

const COMMAND_MS = 240_000;
const SOON_MS = 60_000;
const WEB = { name: 'web', namespace: 'shop', node: 'node-a' };
const STORE = { name: 'store', namespace: 'shop', node: 'node-b' };
const GENERATIONS = 'jsonpath={.items[*].metadata.generation}';

describe('the mesh of a cluster by commands of its own', { skip: SKIP_LONG }, () => {
  const running = cluster();
  const kubectl = (...words: string[]): Promise<string> => running().kubectl(...words);
  const weft = (...words: string[]): Promise<CommandResult> =>
    tryCommand(running().beside(['bin/weft', ...words, '--kubeconfig', running().api.kubeconfig]), COMMAND_MS);
  const done = async (...words: string[]): Promise<string> => {
    const { code, stdout, stderr } = await weft(...words);
    assert.equal(code, 0, stderr);
    return stdout;
  };
  const captured = async (): Promise<number> => {
    const text = await kubectl('get', 'pods', '-n', 'shop', '-o', 'jsonpath={.items[*].metadata.annotations}');
    return text.split('"ambient.istio.io/redirection":"enabled"').length - 1;
  };
  const generations = (): Promise<string> => kubectl('get', 'deployments,daemonsets', '-n', SYSTEM, '-o', GENERATIONS);
  const answers = async (): Promise<boolean> =>
    (await ask(running(), WEB, `http://${await addressOf(running(), STORE)}:8080/`)).code === 0;

  before(async () => {
    if (SKIP_LONG !== false) return;
    await loadWeft(running());
    await makeNamespace(running(), 'shop');
    await runEchoPods(running(), [WEB, STORE]);
  });

  test('what is not there cannot be upgraded; weft install makes everything ready, and once more changes nothing', async () => {
    const { code, stderr } = await weft('upgrade');
    assert.deepEqual([code, /WEFT_CLUSTER_ABSENT/.test(stderr)], [1, true], stderr);
    assert.match(await done('install'), /^DaemonSet weft-agent: ready$/m);
    const before = await generations();
    await done('install');
    assert.equal(await generations(), before);
    await kubectl('label', 'namespace', 'shop', 'istio.io/dataplane-mode=ambient');
    await waitUntil('pods that are captured', SOON_MS, async () => (await captured()) === 2);
    await waitUntil('answer', SOON_MS, answers);
  });

  test('weft upgrade brings what has been changed to what this version says', async () => {
    await kubectl('set', 'env', 'deployment/weft-control', '-n', SYSTEM, 'WEFT_LOG_LEVEL=debug');
    await kubectl('scale', 'deployment/weft-control', '-n', SYSTEM, '--replicas=0');
    assert.match(await done('upgrade'), /^Deployment weft-control: ready$/m);
    assert.equal(await kubectl('get', 'deployment', 'weft-control', '-n', SYSTEM, '-o', 'jsonpath={.spec.replicas}'), '1');
  });

  test('K46: weft uninstall takes the agents away before their rights: no mark is left on a pod, and pods go on', async () => {
    const text = await done('uninstall');
    assert.match(text, /^agents: have left their nodes$/m);
    assert.doesNotMatch(text, /marks of pods that were left/);
    assert.deepEqual([await captured(), await answers()], [0, true]);
    const kinds = 'clusterroles,clusterrolebindings,validatingadmissionpolicies,validatingadmissionpolicybindings';
    assert.doesNotMatch(await kubectl('get', kinds, '-o', 'name'), /weft/);
    for (const { name } of running().nodes) {
      const left = await running().node(name).tryRun('sh', '-c', 'ls -R /sys/fs/bpf /etc/cni/net.d; find /run/weft* -type s');
      assert.doesNotMatch(left.stdout, /weft/, `${name}: ${left.stdout}`);
    }
    // A mark that an agent could not remove is removed with the rights of who takes the mesh away.
    await kubectl('annotate', 'pod', 'web', '-n', 'shop', 'ambient.istio.io/redirection=enabled');
    assert.match(await done('uninstall'), /^marks of pods that were left: 1 removed$/m);
    assert.equal(await captured(), 0);
  });
});
