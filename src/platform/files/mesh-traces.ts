import { existsSync, lstatSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { LOCK_NAME, type MeshTraces, type StateTrace } from '#model/instance/mark.ts';
import { waypointsDirectory } from '#protocol/api/places.ts';
import { namesIn } from './as-far-as-seen.ts';
import { isLocked } from './lock.ts';
import { ownMark, realPlace } from './marked-directory.ts';
import { knownNodes } from './node-register.ts';

/** Where a mesh is looked for. */
export type TracePlace = { runDir: string; stateDir: string; bpffs: string };

/** Looks for a mesh; `isBpffs`: whether a directory is a bpf file system. `register`: only a test gives another than the machine's. */
export function traceMesh(
  { runDir, stateDir, bpffs }: TracePlace,
  isBpffs: (path: string) => boolean,
  register?: string,
): MeshTraces {
  const place = realPlace(runDir);
  const known = knownNodes(register);
  const marked = foldersOf(place).filter((node) => ownMark(join(place, node), 'node')?.node === node);
  const own = known.filter((holding) => holding.runDir === place);
  const nodes = [...new Set([...marked, ...own.map(({ node }) => node)])].sort();
  const others = known.filter((holding) => holding.runDir !== place);
  const accounted = new Set([...nodes, ...others.map(({ node }) => node)]);
  return {
    nodes: nodes.map((node) => ({ node, populated: isPopulated(own.find((holding) => holding.node === node)?.cgroup) })),
    others: others.map(({ node, runDir: otherPlace }) => ({ node, runDir: otherPlace })),
    orphans: isBpffs(bpffs) ? foldersOf(join(bpffs, 'weft')).filter((node) => !accounted.has(node)) : [],
    runDir: !existsSync(place) ? 'absent' : ownMark(place, 'run') === null ? 'foreign' : 'ours',
    hasWaypoints: ownMark(waypointsDirectory(place), 'waypoints') !== null,
    state: traceState(stateDir, place),
  };
}

function traceState(stateDir: string, runDir: string): StateTrace {
  if (!existsSync(stateDir)) return { kind: 'absent' };
  const mark = ownMark(stateDir, 'state');
  if (mark === null) return { kind: 'foreign' };
  return mark.runDir === runDir
    ? { kind: 'ours', locked: isLocked(join(stateDir, LOCK_NAME)) }
    : { kind: 'other', runDir: mark.runDir };
}

function isPopulated(cgroup: string | undefined): boolean {
  if (cgroup === undefined) return false;
  try {
    return /^populated 1$/m.test(readFileSync(join(cgroup, 'workloads', 'cgroup.events'), 'utf8'));
  } catch {
    return false; // it never had a workload, or is gone
  }
}

function foldersOf(directory: string): string[] {
  try {
    return readdirSync(directory, { withFileTypes: true }).flatMap((entry) => (entry.isDirectory() ? [entry.name] : []));
  } catch {
    return []; // not there, or not readable: nothing of it can be removed
  }
}

/** Sockets of waypoints of a run directory; `waypoint`: `<namespace>/<gateway>`. */
export function waypointSocketsBelow(runDir: string): { waypoint: string; path: string }[] {
  const directory = waypointsDirectory(runDir);
  return namesIn(directory)
    .sort()
    .flatMap((name) => {
      // A namespace has no dot, so the first one ends it.
      const [, namespace, gateway] = /^([^.]+)\.(.+)\.sock$/.exec(name) ?? [];
      return gateway === undefined ? [] : [{ waypoint: `${namespace}/${gateway}`, path: join(directory, name) }];
    });
}

/** Removes a socket; a file or directory of that name is somebody else's. */
export function removeSocket(path: string): void {
  if (lstatSync(path, { throwIfNoEntry: false })?.isSocket() === true) rmSync(path);
}
