import { readdir, readFile } from 'node:fs/promises';

/** Set in the environment of everything a run starts, and inherited by everything that starts in turn. */
export const RUN_VARIABLE = 'WEFT_DEMO_RUN';

/** Ids of all processes there are. */
export async function allProcesses(): Promise<number[]> {
  return (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number);
}

/** Ids of the processes of a run, whoever their parent is by now. */
export async function processesOfRun(runId: string): Promise<number[]> {
  const found: number[] = [];
  for (const pid of await allProcesses()) {
    const environment = await readFile(`/proc/${pid}/environ`, 'utf8').catch(() => '');
    if (environment.split('\0').includes(`${RUN_VARIABLE}=${runId}`)) found.push(pid);
  }
  return found;
}

/** `process 12 node weft.ts agent …`. */
export async function describeProcess(pid: number): Promise<string> {
  const commandLine = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
  return `process ${pid} ${commandLine.replaceAll('\0', ' ')}`.trim();
}
