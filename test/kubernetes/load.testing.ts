import assert from 'node:assert/strict';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import type { Cluster } from '../../testbed/kubernetes/cluster.ts';
import { type Child, startChild } from '../../testbed/processes/child.ts';
import { waitUntil } from '../../testbed/processes/wait.ts';
import type { EchoPod } from './pods.testing.ts';

const SOON_MS = 60_000;
/** Longer than a new connection waits between two agents on a busy machine. */
const PATIENCE = '60s';

/** Who asks whom, and where: `host:port` of requests, and of a stream. */
export type Pair = { from: EchoPod; to: EchoPod; http: string; lines: string };

/** Something that goes on until it is told to end. */
type Load = { pair: Pair; child: Child; lines: string[] };

/**
 * Requests by a connection that is kept and by a new one each time, and a stream, of every pair: none fails, and no stream ends while `body`
 * runs. The streams have begun before it. They need no API server.
 */
export async function undisturbed(
  t: TestContext,
  cluster: Cluster,
  pairs: readonly Pair[],
  body: () => Promise<unknown>,
): Promise<void> {
  const start = (words: (pair: Pair) => string[]) => Promise.all(pairs.map((pair) => started(cluster, pair, words(pair))));
  const talks = await start(({ lines }) => ['talk', lines]);
  const loads = await start(({ http }) => ['load', `http://${http}/`, PATIENCE]);
  try {
    await waitUntil('lines', SOON_MS, async () => talks.every(({ lines }) => lines.length > 5));
    await body();
    for (const one of talks) {
      const seen = one.lines.length;
      await waitUntil(`more lines of ${nameOf(one.pair)}`, SOON_MS, async () => one.lines.length > seen + 5);
      assert.deepEqual(
        one.lines.slice(0, seen),
        Array.from({ length: seen }, (_, at) => String(at)),
      );
    }
  } finally {
    for (const { child } of [...talks, ...loads]) child.closeInput();
    await Promise.all([...talks, ...loads].map(({ child }) => child.ended));
  }
  for (const { pair, lines } of loads) {
    t.diagnostic(`${nameOf(pair)}: ${lines.at(-1)}`);
    assert.match(lines.join('\n'), /^good=\d{2,} failed=0$/, nameOf(pair));
  }
}

/** Processes of a pod, by their ids on its node. */
export async function processesOf(cluster: Cluster, { name, node }: Pick<EchoPod, 'name' | 'node'>): Promise<number[]> {
  const find = `grep -lzx HOSTNAME=${name} /proc/[0-9]*/environ 2>/dev/null | cut -d/ -f3`;
  return (await cluster.node(node).run('bash', '-c', find)).trim().split('\n').filter(Boolean).map(Number);
}

function nameOf({ from, to }: Pair): string {
  return `${from.name} to ${to.name}`;
}

/** The program of the image in the network of the pod, and beside its container: as long as the node is there, it runs. */
async function started(cluster: Cluster, pair: Pair, words: readonly string[]): Promise<Load> {
  const { from, to } = pair;
  const [pid = 0] = await processesOf(cluster, from);
  const node = cluster.node(from.node);
  const line = node.line(['nsenter', '--target', String(pid), '--net', '--', `/proc/${pid}/root/echo`, ...words]);
  const name = `${words[0]}-${from.name}-${to.name}`;
  const command = ['setpriv', '--pdeathsig', 'KILL', '--', ...line];
  const child = startChild({ name, command, logPath: join(node.place.dir, 'log', `${name}.log`) }, {});
  const lines: string[] = [];
  child.onLine((line) => lines.push(line));
  return { pair, child, lines };
}
