import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import type { Cluster } from '../../testbed/kubernetes/cluster.ts';
import type { Child } from '../../testbed/processes/child.ts';
import { waitUntil } from '../../testbed/processes/wait.ts';
import { type EchoPod, keepTalking } from './pods.testing.ts';

const SOON_MS = 60_000;
/** Longer than a new connection waits between two agents on a busy machine. */
const PATIENCE = '60s';

/** Who asks whom, and where: `host:port` of requests, and of a stream. */
export type Pair = { from: EchoPod; to: EchoPod; http: string; lines: string };

/** Something that goes on until it is told to end. */
type Load = { pair: Pair; child: Child; lines: string[] };

/**
 * Requests by a connection that is kept and by a new one each time, and a stream, of every pair: none fails, and no stream ends while `body`
 * runs. The streams have begun before it.
 */
export async function undisturbed(
  t: TestContext,
  cluster: Cluster,
  pairs: readonly Pair[],
  body: () => Promise<unknown>,
): Promise<void> {
  const talks = pairs.map((pair) => started(pair, keepTalking(cluster, pair.from, pair.lines)));
  const loads = pairs.map((pair) => started(pair, keepAsking(cluster, pair)));
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

function nameOf({ from, to }: Pair): string {
  return `${from.name} to ${to.name}`;
}

function keepAsking(cluster: Cluster, { from, to, http }: Pair): Child {
  const words = ['exec', '-i', from.name, '-n', from.namespace, '--', '/echo', 'load', `http://${http}/`, PATIENCE];
  return cluster.start(`load-${from.name}-${to.name}`, cluster.api.kubectlLine(words));
}

function started(pair: Pair, child: Child): Load {
  const lines: string[] = [];
  child.onLine((line) => lines.push(line));
  return { pair, child, lines };
}
