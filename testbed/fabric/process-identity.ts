import { readFile } from 'node:fs/promises';

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
