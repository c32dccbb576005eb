import { open, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { WeftError } from '#model/error.ts';
import { WAYPOINT_LOG } from '#protocol/api/places.ts';
import type { LabPlan } from '#testbed/nodes/plan.ts';
import { agentStatus } from './parts.ts';

const FOLLOW_PERIOD_MS = 200;

/** Where the logs of a lab are; a `LabRecord` says it. */
export type LogPlaces = {
  control: { log: string };
  nodes: Readonly<Record<string, { log: string }>>;
  outside: { log: string };
  /** Directory of the waypoints' logs. */
  waypoints: string;
};

/** Log files to show, by the name of their part, and which of their lines. */
export type LogChoice = { files: readonly { part: string; path: string }[]; wanted: (line: string) => boolean };

/**
 * The log of a part; for a workload, what all parts tell about it (its own output is where `weft lab run` runs).
 * Errors: WEFT_LAB_PART, naming what there is.
 */
export async function chooseLogs(name: string, record: LogPlaces, plan: LabPlan, workloadsOf = enrolledIn): Promise<LogChoice> {
  const parts = new Map([
    ['control', record.control.log],
    ...Object.entries(record.nodes).map(([node, { log }]) => [node, log] as const),
    ['outside', record.outside.log],
  ]);
  const waypoints = await waypointLogs(record.waypoints);
  const [only, second] = [...waypoints.keys()];
  const chosen = name === 'waypoint' && only !== undefined && second === undefined ? only : name;
  const path = parts.get(chosen) ?? waypoints.get(chosen);
  if (path !== undefined) return { files: [{ part: chosen, path }], wanted: () => true };
  const mention = new RegExp(`(?<![\\w.-])${RegExp.escape(name)}(?![\\w.-])`);
  const files = [...parts, ...waypoints].map(([part, path]) => ({ part, path }));
  const choice: LogChoice = { files, wanted: (line) => mention.test(line) };
  const workloads = await workloadsOf(plan);
  // A workload that has ended is only in the logs, one that has just begun is not in them yet.
  if (workloads.includes(name) || (await isMentioned(choice))) return choice;
  throw noSuchPart(name, [...parts.keys(), ...waypoints.keys(), ...workloads]);
}

/** Hands over every wanted line, with the name of its part where there are several; goes on with new ones until `until` is aborted. */
export async function readLogs(
  { files, wanted }: LogChoice,
  out: (text: string) => void,
  until: AbortSignal | null,
  pause: () => Promise<void> = () => sleep(FOLLOW_PERIOD_MS),
): Promise<void> {
  const width = Math.max(...files.map(({ part }) => part.length));
  const readers = files.map(({ part, path }) => ({
    read: lineReader(path),
    prefix: files.length > 1 ? `${part.padEnd(width)} | ` : '',
  }));
  for (;;) {
    const last = until === null || until.aborted;
    for (const { read, prefix } of readers) {
      for (const line of await read()) if (wanted(line)) out(`${prefix}${line}\n`);
    }
    if (last) return;
    await pause();
  }
}

/** Gives the whole lines that a file gained since the last call; a file that is not there has none. */
function lineReader(path: string): () => Promise<string[]> {
  let offset = 0;
  let rest = Buffer.alloc(0);
  return async () => {
    const file = await open(path, 'r').catch(() => null);
    if (file === null) return [];
    try {
      const length = Math.max(0, (await file.stat()).size - offset);
      const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, offset);
      offset += bytesRead;
      const bytes = Buffer.concat([rest, buffer.subarray(0, bytesRead)]);
      const end = bytes.lastIndexOf(0x0a) + 1;
      rest = bytes.subarray(end);
      return end === 0 ? [] : bytes.toString('utf8', 0, end - 1).split('\n');
    } finally {
      await file.close();
    }
  };
}

async function isMentioned(choice: LogChoice): Promise<boolean> {
  let found = false;
  const hear = (): void => {
    found = true;
  };
  await readLogs(choice, hear, null);
  return found;
}

/** Logs of the waypoints by NAMESPACE.GATEWAY. */
async function waypointLogs(dir: string): Promise<Map<string, string>> {
  const names = (await readdir(dir).catch(() => [])).filter((name) => name.startsWith(WAYPOINT_LOG)).sort();
  return new Map(names.map((name) => [name.slice(WAYPOINT_LOG.length, -'.log'.length), join(dir, name)]));
}

async function enrolledIn(plan: LabPlan): Promise<string[]> {
  const statuses = await Promise.all(plan.nodes.map(({ name }) => agentStatus(plan, name).catch(() => null)));
  return statuses.flatMap((status) => status?.enrolled.map(({ name }) => name) ?? []).sort();
}

function noSuchPart(name: string, there: readonly string[]): WeftError {
  return new WeftError('WEFT_LAB_PART', `nothing in the lab is called "${name}"`, {
    remedy: `write one of: ${there.join(', ')}`,
  });
}
