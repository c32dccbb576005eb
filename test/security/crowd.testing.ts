import { join } from 'node:path';
import type { NodeName } from '#testbed/nodes/plan.ts';
import { within } from '#testbed/processes/wait.ts';
import type { AttackedMesh } from './mesh.testing.ts';

const CROWD = new URL('../kernel/apps/crowd-client.ts', import.meta.url).pathname;
const ANSWER_MS = 60_000;

/** What became of the dials of a crowd: `open`, or an error code, and how many. */
export type Outcomes = Readonly<Record<string, number>>;

/** Opens connections by the hundred: test/kernel/apps/crowd-client.ts. */
export type Crowd = {
  /** Opens so many and keeps those that open. */
  hold(count: number, host: string, port: number): Promise<Outcomes>;
  /** Dials without a pause for so long, and keeps nothing. */
  loop(ms: number, host: string, port: number): Promise<Outcomes>;
  /** How many of those that were kept are still open. */
  open(): Promise<number>;
  drop(): Promise<string>;
};

let count = 0;

/** Runs a crowd by a command line, such as one of `AttackedMesh.insideLine`, until the mesh goes down. */
export async function crowdBy(mesh: AttackedMesh, line: (command: readonly string[]) => string[]): Promise<Crowd> {
  const name = `crowd-${++count}`;
  const child = mesh.lab.spawn({ name, command: line([process.execPath, CROWD]), logPath: join(mesh.plan.logDir, name) });
  const waiting: ((answer: string) => void)[] = [];
  child.onLine((answer) => waiting.shift()?.(answer));
  const next = (): Promise<string> =>
    within(`an answer of ${name}`, ANSWER_MS, new Promise<string>((resolve) => waiting.push(resolve)));
  const ask = (text: string): Promise<string> => {
    const answer = next();
    child.write(text);
    return answer;
  };
  const outcomes = async (text: string): Promise<Outcomes> => JSON.parse(await ask(text)) as Outcomes;
  // It says that it is there, and then answers: both may come at once.
  await Promise.all([next(), ask('open')]);
  return {
    hold: (many, host, port) => outcomes(`hold ${many} ${host} ${port}`),
    loop: (ms, host, port) => outcomes(`loop ${ms} ${host} ${port}`),
    open: async () => Number(await ask('open')),
    drop: () => ask('drop'),
  };
}

/** A crowd inside a workload. */
export function crowdIn(mesh: AttackedMesh, workload: string): Promise<Crowd> {
  return crowdBy(mesh, (command) => mesh.insideLine(workload, command));
}

/** The sum of a metric of an agent over all series whose labels contain these. */
export async function metricOf(mesh: AttackedMesh, node: NodeName, name: string, ...labels: string[]): Promise<number> {
  const { metrics } = await mesh.status(node);
  const fetching = `fetch('http://${metrics}/metrics').then((r) => r.text()).then((t) => process.stdout.write(t))`;
  const { stdout } = await mesh.onNode(node, [process.execPath, '-e', fetching]);
  const series = stdout
    .split('\n')
    .filter((one) => new RegExp(`^${name}[{ ]`).test(one) && labels.every((label) => one.includes(label)));
  return series.reduce((sum, one) => sum + Number(one.slice(one.lastIndexOf(' ') + 1)), 0);
}
