import { join } from 'node:path';
import type { App } from '#testbed/lab/app.ts';
import type { NodeName } from '#testbed/nodes/plan.ts';
import type { WireReport } from '#testbed/observers/wire-report.ts';
import type { Child } from '#testbed/processes/child.ts';
import { within } from '#testbed/processes/wait.ts';
import type { AttackedMesh } from './mesh.testing.ts';

const ANSWER_MS = 30_000;

/** What became of the dials to one target that began in an epoch. */
export type Tally = { answered: number; opened: number; failed: number };

/** The command of a program of this folder, to be run as a workload. */
export function attackProgram(
  name: 'asker' | 'channel' | 'witness' | 'dialler' | 'squatter' | 'raw-client' | 'raw-http-server',
  ...args: string[]
): string[] {
  return [process.execPath, join(import.meta.dirname, 'apps', `${name}.ts`), ...args];
}

/** A running `dialler`: each target is dialled without a pause until it ends. */
export type Dialler = {
  app: App;
  /** Ends an epoch and begins the next; the tallies of the one that ended, in the order of the targets. */
  epoch(): Promise<Tally[]>;
  /** Keeps up to that many answered connections open from now on. */
  hold(most: number): void;
  held(): Promise<number>;
  /** It ends, and leaves copies of itself that do not end by themselves. */
  leaveOrphans(): void;
  /** Starts the same copies, and stays. */
  startCopies(): void;
};

/** Speaks to a dialler. */
export function diallerOf(app: App): Dialler {
  return {
    app,
    epoch: async () => (await ask<{ epoch: Tally[] }>(app.child, 'epoch', 'epoch')).epoch,
    hold: (most) => app.child.write(`hold ${most}`),
    held: async () => (await ask<{ held: number }>(app.child, 'held', 'held')).held,
    startCopies: () => app.child.write('copies'),
    leaveOrphans: () => app.child.write('orphans'),
  };
}

/** The connections that a running `witness` has had, by the address they came from. */
export async function witnessed(app: App): Promise<Readonly<Record<string, number>>> {
  return (await ask<{ seen: Record<string, number> }>(app.child, 'report', 'seen')).seen;
}

/** How often a running `squatter` has tried, and which sockets it got. */
export function squatted({ child }: Pick<App, 'child'>): Promise<{ tries: number; got: string[] }> {
  return ask<{ squatted: { tries: number; got: string[] } }>(child, 'report', 'squatted').then(({ squatted }) => squatted);
}

/** Kills the agent of a node and starts one whose maps have the layouts of that number. */
export async function restartAs(mesh: AttackedMesh, node: NodeName, schema: number): Promise<void> {
  process.env.WEFT_BPF_SCHEMA = String(schema); // what a lab starts has our environment
  try {
    await mesh.lab.restart(node, 'SIGKILL');
  } finally {
    delete process.env.WEFT_BPF_SCHEMA;
  }
}

/**
 * What a wire report has against frames that it saw. A tunnel whose agent is killed ends in the middle, and a segment that was
 * never sent again is a hole in its stream: nothing was in clear there.
 */
export function inClear({ problems }: WireReport): string[] {
  return problems.filter((problem) => !problem.endsWith('the capture has a hole'));
}

/** Says a line to an app and waits for the line that begins with this field. */
export function ask<Answer>(child: Child, line: string, field: string, waitMs = ANSWER_MS): Promise<Answer> {
  const answered = new Promise<Answer>((resolve) => {
    const stop = child.onLine((text) => {
      if (!text.startsWith(`{"${field}":`)) return;
      stop();
      resolve(JSON.parse(text));
    });
  });
  child.write(line);
  return within(`${line} of ${child.name}`, waitMs, answered);
}
