import { readdir, readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { tryCommand } from '#testbed/processes/command.ts';

const KINDS = ['prog', 'link', 'map'] as const;
/** What can be loaded into the kernel. */
export type BpfKind = (typeof KINDS)[number];

/** One loaded program, link or map. */
export type BpfObject = {
  /** `prog 12`; a number is never used twice while the machine runs. */
  key: string;
  type: string;
  name: string;
  /** Where it is pinned. */
  pinned: string[];
  /** Keys of what it keeps alive: the program of a link, the maps of a program. */
  uses: string[];
};

/** Every program, link and map in the kernel; null when bpftool is not installed. */
export async function bpfObjects(): Promise<BpfObject[] | null> {
  const lists = await Promise.all(
    KINDS.map(async (kind) => {
      const answer = await tryCommand(['bpftool', '-j', '-f', kind, 'show']).catch(() => null);
      return answer === null ? null : parseObjects(kind, answer.stdout);
    }),
  );
  return lists.some((list) => list === null) ? null : lists.flatMap((list) => list ?? []);
}

type BpftoolItem = { id: number; type?: string; name?: string; pinned?: string[]; prog_id?: number; map_ids?: number[] };

/** Reads `bpftool -j -f KIND show`. */
export function parseObjects(kind: BpfKind, json: string): BpfObject[] {
  const list: unknown = json.trim() === '' ? [] : JSON.parse(json);
  if (!Array.isArray(list)) return [];
  return list.map((item: BpftoolItem) => ({
    key: `${kind} ${item.id}`,
    type: item.type ?? '',
    name: item.name ?? '',
    pinned: item.pinned ?? [],
    uses: [...(item.prog_id === undefined ? [] : [`prog ${item.prog_id}`]), ...(item.map_ids ?? []).map((id) => `map ${id}`)],
  }));
}

/** Keys of the objects that an open file of one of the processes holds. */
export async function heldObjects(pids: readonly number[]): Promise<Set<string>> {
  const held = new Set<string>();
  for (const pid of pids) {
    for (const fd of await readdir(`/proc/${pid}/fdinfo`).catch(() => [])) {
      const info = await readFile(`/proc/${pid}/fdinfo/${fd}`, 'utf8').catch(() => '');
      for (const [, kind, id] of info.matchAll(/^(prog|link|map)_id:\s*(\d+)/gm)) held.add(`${kind} ${id}`);
    }
  }
  return held;
}

/** What some kernels pin by themselves into every bpf file system they mount (CONFIG_BPF_PRELOAD). */
const KERNEL_PINS = new Set(['maps.debug', 'progs.debug']);

/** Pins in a bpf file system, as paths in it; those of the kernel itself are left out. */
export async function pinsIn(mount: string): Promise<string[]> {
  return (await readdir(mount, { recursive: true })).filter((path) => !KERNEL_PINS.has(path));
}

/** Whether a pin was made below `dir`, and not by the kernel itself. */
export function pinnedBelow(dir: string, path: string): boolean {
  return path.startsWith(`${dir}/`) && !KERNEL_PINS.has(basename(path));
}

/** Keys of the objects that `chosen` picks, and of all that these keep alive. */
export function keptAlive(objects: readonly BpfObject[], chosen: (object: BpfObject) => boolean): Set<string> {
  const byKey = new Map(objects.map((object) => [object.key, object]));
  const reached = new Set<string>();
  const pending = objects.filter(chosen).map(({ key }) => key);
  for (let key = pending.pop(); key !== undefined; key = pending.pop()) {
    if (reached.has(key)) continue;
    reached.add(key);
    pending.push(...(byKey.get(key)?.uses ?? []));
  }
  return reached;
}
