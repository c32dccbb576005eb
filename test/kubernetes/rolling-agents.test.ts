import assert from 'node:assert/strict';
import { before, describe, type TestContext, test } from 'node:test';
import type { Child } from '../../testbed/processes/child.ts';
import { waitUntil } from '../../testbed/processes/wait.ts';
import { cluster, SKIP_NODES } from './cluster.testing.ts';
import { InstalledMesh } from './installed.testing.ts';
import { addressOf, ask, type EchoPod, keepTalking, makeNamespace, runEchoPods } from './pods.testing.ts';

const SOON_MS = 60_000;
/** Longer than a new connection waits between two agents on a busy machine. */
const PATIENCE = '60s';
const WEB = { name: 'web', namespace: 'shop', node: 'node-a' };
const NEAR = { name: 'near', namespace: 'shop', node: 'node-a' };
const STORE = { name: 'store', namespace: 'shop', node: 'node-b' };
const AGENTS = ['-n', 'istio-system', '-l', 'app=weft-agent'];

/** Something that goes on until it is told to end. */
type Load = { from: EchoPod; to: EchoPod; child: Child; lines: string[] };

describe('agents that are rolled', { skip: SKIP_NODES }, () => {
  const running = cluster();
  let mesh: InstalledMesh;
  const kubectl = (...words: string[]): Promise<string> => running().kubectl(...words);
  const started = (child: Child, from: EchoPod, to: EchoPod): Load => {
    const lines: string[] = [];
    child.onLine((line) => lines.push(line));
    return { from, to, child, lines };
  };
  /** By one connection that is kept and by a new one each time. */
  const load = async (from: EchoPod, to: EchoPod): Promise<Load> => {
    const url = `http://${await addressOf(running(), to)}:8080/`;
    const line = running().api.kubectlLine(['exec', '-i', from.name, '-n', from.namespace, '--', '/echo', 'load', url, PATIENCE]);
    return started(running().start(`load-${from.name}-${to.name}`, line), from, to);
  };
  const talk = async (from: EchoPod, to: EchoPod): Promise<Load> =>
    started(keepTalking(running(), from, `${await addressOf(running(), to)}:9090`), from, to);
  /** Within a node, and both ways between two. */
  const PAIRS = [
    [WEB, NEAR],
    [WEB, STORE],
    [STORE, WEB],
  ] as const;
  const pidOf = async (node: string): Promise<number> => (await mesh.status(node)).pid;

  before(async () => {
    if (SKIP_NODES !== false) return;
    await makeNamespace(running(), 'shop');
    await kubectl('label', 'namespace', 'shop', 'istio.io/dataplane-mode=ambient');
    mesh = await InstalledMesh.install(running());
    await runEchoPods(running(), [WEB, NEAR, STORE]);
    for (const [from, to] of PAIRS) {
      const url = `http://${await addressOf(running(), to)}:8080/`;
      await waitUntil('answer', SOON_MS, async () => (await ask(running(), from, url)).code === 0);
    }
  });

  /** Nothing fails and nothing ends while `rolling` runs, with streams that began before it. */
  async function undisturbed(t: TestContext, rolling: () => Promise<unknown>): Promise<void> {
    const talks = await Promise.all(PAIRS.map(([from, to]) => talk(from, to)));
    const loads = await Promise.all(PAIRS.map(([from, to]) => load(from, to)));
    try {
      await waitUntil('lines', SOON_MS, async () => talks.every(({ lines }) => lines.length > 5));
      await rolling();
      for (const one of talks) {
        const seen = one.lines.length;
        await waitUntil(`more lines of ${one.from.name} and ${one.to.name}`, SOON_MS, async () => one.lines.length > seen + 5);
        assert.deepEqual(
          one.lines.slice(0, seen),
          Array.from({ length: seen }, (_, at) => String(at)),
        );
      }
    } finally {
      for (const { child } of [...talks, ...loads]) child.closeInput();
      await Promise.all([...talks, ...loads].map(({ child }) => child.ended));
    }
    for (const { from, to, lines } of loads) {
      t.diagnostic(`${from.name} to ${to.name}: ${lines.at(-1)}`);
      assert.match(lines.join('\n'), /^good=\d{2,} failed=0$/, `${from.name} to ${to.name}`);
    }
  }

  test('K144, K148: a rollout of the agents fails no request and ends no stream, within a node and across', async (t) => {
    const [a, b] = [await pidOf('node-a'), await pidOf('node-b')];
    await undisturbed(t, async () => {
      const startMs = performance.now();
      await kubectl('rollout', 'restart', 'daemonset/weft-agent', '-n', 'istio-system');
      // `rollout status` waits for the former agents, too.
      for (const [node, pid] of [
        ['node-a', a],
        ['node-b', b],
      ] as const)
        await mesh.restarted(node, pid);
      t.diagnostic(`both nodes have the next agent after ${Math.round(performance.now() - startMs)} ms`);
    });
    const phases = (): Promise<string> => kubectl('get', 'pods', ...AGENTS, '-o', 'jsonpath={.items[*].metadata.name}');
    await waitUntil(
      'end of the former agents, which carry nothing any more',
      SOON_MS,
      async () => (await phases()).split(' ').length === 2,
    );
    await kubectl('wait', '--for=condition=Ready', 'pod', ...AGENTS, '--timeout', '60s');
    const restarts = await kubectl(
      'get',
      'pods',
      ...AGENTS,
      '-o',
      'jsonpath={.items[*].status.containerStatuses[0].restartCount}',
    );
    assert.equal(restarts, '0 0');
  });

  test('K147: an agent that is deleted serves until the next one has the node', async (t) => {
    const before = await pidOf('node-a');
    const pod = await kubectl(
      'get',
      'pods',
      ...AGENTS,
      '--field-selector',
      'spec.nodeName=node-a',
      '-o',
      'jsonpath={.items[0].metadata.name}',
    );
    await undisturbed(t, async () => {
      await kubectl('delete', 'pod', pod, '-n', 'istio-system', '--wait=false');
      await mesh.restarted('node-a', before);
    });
  });
});
