import assert from 'node:assert/strict';
import { before, describe, type TestContext, test } from 'node:test';
import type { Child } from '../../testbed/processes/child.ts';
import { waitUntil } from '../../testbed/processes/wait.ts';
import { cluster, SKIP_LONG, SKIP_NODES } from './cluster.testing.ts';
import { InstalledMesh } from './installed.testing.ts';
import { type Pair, undisturbed } from './load.testing.ts';
import { addressOf, ask, keepTalking, makeNamespace, runEchoPods } from './pods.testing.ts';

const SOON_MS = 60_000;
const WEB = { name: 'web', namespace: 'shop', node: 'node-a' };
const NEAR = { name: 'near', namespace: 'shop', node: 'node-a' };
const STORE = { name: 'store', namespace: 'shop', node: 'node-b' };
const AGENTS = ['-n', 'istio-system', '-l', 'app=weft-agent'];

describe('agents that are rolled', { skip: SKIP_NODES }, () => {
  const running = cluster();
  let mesh: InstalledMesh;
  let pairs: Pair[];
  const kubectl = (...words: string[]): Promise<string> => running().kubectl(...words);
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
    const pairOf = async ([from, to]: (typeof PAIRS)[number]): Promise<Pair> => {
      const host = await addressOf(running(), to);
      return { from, to, http: `${host}:8080`, lines: `${host}:9090` };
    };
    pairs = await Promise.all(PAIRS.map(pairOf));
    for (const { from, http } of pairs) {
      await waitUntil('answer', SOON_MS, async () => (await ask(running(), from, `http://${http}/`)).code === 0);
    }
  });

  const loaded = (t: TestContext, body: () => Promise<unknown>): Promise<void> => undisturbed(t, running(), pairs, body);

  test('K144, K148: a rollout of the agents fails no request and ends no stream, within a node and across', async (t) => {
    const [a, b] = [await pidOf('node-a'), await pidOf('node-b')];
    await loaded(t, async () => {
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

  const podsOfNodeA = async (): Promise<string[]> => {
    const which = ['--field-selector', 'spec.nodeName=node-a', '--sort-by=.metadata.creationTimestamp'];
    return (await kubectl('get', 'pods', ...AGENTS, ...which, '-o', 'jsonpath={.items[*].metadata.name}')).split(' ');
  };
  const replaceOnNodeA = async (): Promise<void> => {
    const before = await pidOf('node-a');
    await kubectl('delete', 'pod', (await podsOfNodeA()).at(-1) ?? '', '-n', 'istio-system', '--wait=false');
    await mesh.restarted('node-a', before);
  };

  test('K147: an agent that is deleted serves until the next one has the node', (t) => loaded(t, replaceOnNodeA));

  test('K145: of the former agents of a node that carry something the oldest of four ends, and none of the others', {
    skip: SKIP_LONG,
  }, async (t) => {
    const talks: Child[] = [];
    t.after(() => Promise.all(talks.map((talk) => talk.stop())));
    const lines = `${await addressOf(running(), STORE)}:9090`;
    for (let at = 0; at < 4; at++) {
      const talk = keepTalking(running(), WEB, lines);
      talks.push(talk);
      await new Promise<void>((resolve) => talk.onLine(() => resolve()));
      await replaceOnNodeA();
    }
    await waitUntil('end of the oldest, and of its pod', SOON_MS, async () => (await podsOfNodeA()).length === 4);
    await waitUntil('end of what it carried', SOON_MS, async () => talks[0]?.ending() !== null);
    assert.deepEqual(
      talks.slice(1).map((talk) => talk.ending()),
      [null, null, null],
    );
  });
});
