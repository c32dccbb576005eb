import assert from 'node:assert/strict';
import { join } from 'node:path';
import { within } from '#testbed/processes/wait.ts';
import type { AttackedMesh } from './mesh.testing.ts';

const SOCKETS = new URL('../kernel/apps/socket-client.ts', import.meta.url).pathname;
const ANSWER_MS = 10_000;

/** Sockets as an attacker uses them: each line is one act of test/kernel/apps/socket-client.ts, and answered by one line. */
export type Attacker = (line: string) => Promise<string>;

let count = 0;

/** Runs the attacker's sockets by a command line, such as one of `AttackedMesh.insideLine`, until the mesh goes down. */
export async function attackerBy(mesh: AttackedMesh, line: (command: readonly string[]) => string[]): Promise<Attacker> {
  const name = `attacker-${++count}`;
  const child = mesh.lab.spawn({ name, command: line([process.execPath, SOCKETS]), logPath: join(mesh.plan.logDir, name) });
  const answers: string[] = [];
  const waiting: ((answer: string) => void)[] = [];
  child.onLine((answer) => {
    const waiter = waiting.shift();
    if (waiter === undefined) answers.push(answer);
    else waiter(answer);
  });
  const next = (): Promise<string> => {
    const answer = answers.shift();
    const later = answer === undefined ? new Promise<string>((resolve) => waiting.push(resolve)) : Promise.resolve(answer);
    return within(`an answer of ${name}`, ANSWER_MS, later);
  };
  assert.equal(await next(), 'ready');
  return (act) => {
    child.write(act);
    return next();
  };
}

/** The attacker inside a workload: its namespaces and its cgroup, with all capabilities. */
export function attackerIn(mesh: AttackedMesh, workload: string): Promise<Attacker> {
  return attackerBy(mesh, (command) => mesh.insideLine(workload, command));
}
