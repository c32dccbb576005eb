import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { mapsDirectory, openMaps } from '#platform/bpf/pins.ts';
import type { NodeName } from '#testbed/nodes/plan.ts';
import { metricOf } from '../security/crowd.testing.ts';
import type { AttackedMesh } from '../security/mesh.testing.ts';

export type CountedMap = 'captured' | 'attested' | 'flows' | 'peers' | 'shares' | 'verdicts' | 'names' | 'workloads' | 'links';

/** What an agent holds of what connections take, in its process and in the kernel. */
export type Held = {
  /** Resident memory in KiB. */
  memoryKib: number;
  /** Open descriptors by kind, such as `socket`: without those of pooled tunnels, which stay for five minutes. */
  descriptors: Readonly<Record<string, number>>;
  /** Connections to other nodes, and from them. */
  tunnels: number;
  /** Entries of the maps in which there is one for a connection, a workload or a pair of them. */
  entries: Readonly<Record<CountedMap, number>>;
  /** Connections that the kernel counts as its workloads'. */
  live: number;
  carried: number;
};

/** Maps in which there is an entry for a connection. */
export const OF_CONNECTIONS: readonly CountedMap[] = ['captured', 'attested', 'flows', 'peers'];
/**
 * Those but for one: of a connection within a node that was aborted the record stays until its place is needed, because what is still
 * on its way is known by it.
 */
export const OF_TURNS = OF_CONNECTIONS.filter((map) => map !== 'attested');
/** Maps in which there is one for a workload, or for a pair whose connections were judged. */
export const OF_PAIRS: readonly CountedMap[] = ['verdicts', 'names', 'workloads', 'links'];
const COUNTED: readonly CountedMap[] = [...OF_CONNECTIONS, ...OF_PAIRS, 'shares'];

/** Looks at the agent of a node from outside. `callers`: the nodes whose tunnels come to this one. */
export async function heldBy(mesh: AttackedMesh, node: NodeName, callers: readonly NodeName[]): Promise<Held> {
  const { pid } = mesh.lab.agent(node);
  const { pinDir } = (await mesh.status(node)).kernel;
  const pooled = await Promise.all([node, ...callers].map((one) => metricOf(mesh, one, 'weft_tunnel_connections')));
  const tunnels = pooled.reduce((sum, one) => sum + one, 0);
  const maps = openMaps(mapsDirectory(pinDir));
  try {
    const { live, carried } = maps.totalShare.get(0) ?? { live: 0, carried: 0 };
    return {
      memoryKib: Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]),
      descriptors: descriptorsOf(pid, tunnels),
      tunnels,
      entries: Object.fromEntries(COUNTED.map((name) => [name, maps[name].entries().length])) as Held['entries'],
      live,
      carried,
    };
  } finally {
    for (const map of Object.values(maps)) map.close();
  }
}

/** How many descriptors there are of each kind. */
function descriptorsOf(pid: number, tunnels: number): Record<string, number> {
  const kinds: Record<string, number> = { socket: -tunnels };
  for (const fd of readdirSync(`/proc/${pid}/fd`)) {
    let target = '';
    try {
      target = readlinkSync(`/proc/${pid}/fd/${fd}`);
    } catch {
      continue; // closed meanwhile
    }
    const kind = /^(anon_inode:)?\[?([\w-]+)/.exec(target)?.[2] ?? 'file';
    kinds[kind] = (kinds[kind] ?? 0) + 1;
  }
  return kinds;
}

/** What an agent has warned of, in words with how often, the most frequent first. */
export async function warnings(mesh: AttackedMesh, node: NodeName): Promise<string[]> {
  const counts = new Map<string, number>();
  for (const line of (await mesh.log(node)).split('\n')) {
    if (!/\b(warn|error)\b/.test(line)) continue;
    const what = [...line.matchAll(/\b(?:cause|error|err|response_flags)=(?:"[^"]*"|\S+)/g)].map(([field]) => field).join(' ');
    counts.set(what, (counts.get(what) ?? 0) + 1);
  }
  return [...counts]
    .sort(([, a], [, b]) => b - a)
    .slice(0, 20)
    .map(([what, count]) => `${node}: ${count} times ${what}`);
}
