import { readdir, readFile } from 'node:fs/promises';

/** Field 22 of /proc/PID/stat counted from behind the command name (proc(5)). */
const START_TIME_AFTER_NAME = 19;

/**
 * `pid:start time`, which no later process can have; null when there is no such process.
 * A zombie counts as gone.
 */
export async function processIdentity(pid: number): Promise<string | null> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => null);
  if (stat === null) return null;
  // The name is in parentheses and may itself contain spaces and parentheses.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return fields[0] === 'Z' ? null : `${pid}:${fields[START_TIME_AFTER_NAME] ?? ''}`;
}

/** Whether the process that `identity` names still runs. */
export async function processAlive(identity: string): Promise<boolean> {
  return identity !== '' && (await processIdentity(Number.parseInt(identity, 10))) === identity;
}

/** Set in the environment of everything a lab starts, and inherited by everything that starts in turn. */
export const LAB_VARIABLE = 'WEFT_LAB';

/** Ids of all processes there are. */
export async function allProcesses(): Promise<number[]> {
  return (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number);
}

/** Ids of the processes of a lab, whoever their parent is by now. */
export async function processesOf(id: string): Promise<number[]> {
  const found: number[] = [];
  for (const pid of await allProcesses()) {
    const environment = await readFile(`/proc/${pid}/environ`, 'utf8').catch(() => '');
    if (environment.split('\0').includes(`${LAB_VARIABLE}=${id}`)) found.push(pid);
  }
  return found;
}

/** `process 12 node weft.ts agent …`. */
export async function describeProcess(pid: number): Promise<string> {
  const commandLine = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
  return `process ${pid} ${commandLine.replaceAll('\0', ' ')}`.trim();
}
