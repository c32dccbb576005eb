import { readdir, readFile } from 'node:fs/promises';
import { command } from '#testbed/processes/command.ts';

const LOAD_TIMEOUT_MS = 60_000;
const KIB_PER_PAGE = 4;

/** How a client's bytes reach the server of the load: through the mesh, or through one of its peers. */
export type Way = {
  /** What the client dials. */
  host: string;
  port: string;
  /** The processes that carry the bytes; none where the kernel does alone. */
  carriers: readonly number[];
  /** A command line that runs the given one where the client is. */
  atClient(line: readonly string[]): string[];
};

/** Runs the load's client over a way and returns the line it printed. Errors: WEFT_TESTBED_COMMAND. */
export function loadOver(way: Way, load: string, mode: string, ...amounts: readonly (string | number)[]): Promise<string> {
  return command(way.atClient([load, mode, way.host, way.port, ...amounts.map(String)]), LOAD_TIMEOUT_MS);
}

/** CPU seconds that processes have used so far, to the nanosecond: of the threads that still run. */
export async function cpuSeconds(pids: readonly number[]): Promise<number> {
  let nanoseconds = 0;
  for (const pid of pids) {
    for (const thread of await readdir(`/proc/${pid}/task`)) {
      // A thread may end between the two.
      const text = await readFile(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').catch(() => '0');
      nanoseconds += Number(text.split(' ')[0]);
    }
  }
  return nanoseconds / 1e9;
}

/** What a measurement gave, with the CPU seconds that its carriers used meanwhile. */
export async function withCpu<Result>(way: Way, measured: () => Promise<Result>): Promise<[Result, number]> {
  const before = await cpuSeconds(way.carriers);
  const result = await measured();
  return [result, (await cpuSeconds(way.carriers)) - before];
}

/** KiB of memory that a process holds: resident, shared pages included. */
export async function residentKib(pid: number): Promise<number> {
  return Number((await readFile(`/proc/${pid}/statm`, 'utf8')).split(' ')[1]) * KIB_PER_PAGE;
}
