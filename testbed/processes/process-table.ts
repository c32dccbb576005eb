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

/**
 * The id, as this process sees it, of the process that calls itself `announced`: `root` or one that it started, directly or
 * through others. A workload's processes count in a namespace of their own. Null when there is none.
 */
export async function processBelow(root: number, announced: number): Promise<number | null> {
  const waiting = [root];
  for (let pid = waiting.pop(); pid !== undefined; pid = waiting.pop()) {
    const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
    const own = /^NSpid:.*\t(\d+)$/m.exec(status)?.[1];
    if (Number(own) === announced) return pid;
    waiting.push(...(await childrenOf(pid)));
  }
  return null;
}

/** Any thread of a process may have started them. */
async function childrenOf(pid: number): Promise<number[]> {
  const threads = await readdir(`/proc/${pid}/task`).catch(() => []);
  const lists = await Promise.all(
    threads.map((thread) => readFile(`/proc/${pid}/task/${thread}/children`, 'utf8').catch(() => '')),
  );
  return lists
    .flatMap((list) => list.trim().split(' '))
    .filter(Boolean)
    .map(Number);
}
