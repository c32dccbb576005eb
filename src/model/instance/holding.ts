import { cidrContains, tryParseCidr } from '#model/address/ip.ts';

/** What the agent of a node has taken of this machine. Everything that an agent makes is called by it, or lies in it. */
export type Holding = {
  node: string;
  pid: number;
  runDir: string;
  bpffs: string;
  cgroup: string;
  bridge: string;
  pool4: string;
  pool6: string;
  /** The network namespace that its bridge and routes are in. */
  netns: string;
};

/** A holding that is written down. `dead`: its agent has ended, but its node is still here. */
export type KnownHolding = Holding & { state: 'alive' | 'dead' };

/** Why a node cannot be had; `remedy`: what to do about it. */
export type HoldingConflict = { code: string; message: string; remedy: string };

/** A route or an address of the machine itself. */
export type HostRange = {
  cidr: string;
  device: string;
  /** Whether it leads to the hosts of a link rather than to a gateway. */
  direct: boolean;
};

/** Who or what has something of what an agent wants; null: it can have all of it. The node's own earlier agent is no conflict. */
export function conflictOf(wanted: Holding, known: readonly KnownHolding[]): HoldingConflict | null {
  for (const other of known) {
    const conflict = other.node === wanted.node ? sameNode(wanted, other) : otherNode(wanted, other);
    if (conflict !== null) return conflict;
  }
  return null;
}

function sameNode(wanted: Holding, other: KnownHolding): HoldingConflict | null {
  if (other.state === 'alive') {
    return {
      code: 'WEFT_NODE_HELD',
      message: `node ${other.node} is held by ${describe(other)}`,
      remedy: 'use it, end it with weft uninstall, or give this one another name with --node',
    };
  }
  if (other.runDir === wanted.runDir && other.bpffs === wanted.bpffs) return null;
  return {
    code: 'WEFT_NODE_HELD',
    message: `node ${other.node} was left by ${describe(other)}`,
    remedy: `go on with --run-dir ${other.runDir}, or remove it with weft uninstall --run-dir ${other.runDir}`,
  };
}

/** What the dead have left of bridges and routes is seen by itself: see `hostConflictOf`. */
function otherNode(wanted: Holding, other: KnownHolding): HoldingConflict | null {
  if (other.state === 'dead') return null;
  const held = `of node ${other.node}, which is held by ${describe(other)}`;
  if (isBelow(wanted.cgroup, other.cgroup) || isBelow(other.cgroup, wanted.cgroup))
    return { code: 'WEFT_NODE_HELD', message: `${wanted.cgroup} is the cgroup ${held}`, remedy: 'choose another with --cgroup' };
  if (other.netns !== wanted.netns) return null;
  if (other.bridge === wanted.bridge)
    return { code: 'WEFT_NODE_HELD', message: `${wanted.bridge} is the bridge ${held}`, remedy: 'choose another --node' };
  for (const pool of ['pool4', 'pool6'] as const) {
    if (rangesOverlap(wanted[pool], other[pool])) {
      return {
        code: 'WEFT_POOL_OVERLAP',
        message: `${wanted[pool]} overlaps with ${other[pool]} ${held}`,
        remedy: `choose another range with --${pool}`,
      };
    }
  }
  return null;
}

/**
 * The machine's own range that a pool would take addresses from; null: none. A larger network behind a gateway is no conflict, as
 * the pool's own route is the more precise one; a network of the machine's links is, and so is a route or an address within the pool.
 */
export function hostConflictOf(
  wanted: Pick<Holding, 'bridge' | 'pool4' | 'pool6'>,
  ranges: readonly HostRange[],
): HoldingConflict | null {
  for (const option of ['pool4', 'pool6'] as const) {
    const pool = wanted[option];
    const found = ranges.find(
      ({ cidr, device, direct }) => device !== wanted.bridge && (isWithin(cidr, pool) || (direct && isWithin(pool, cidr))),
    );
    if (found !== undefined) {
      return {
        code: 'WEFT_POOL_OVERLAP',
        message: `${pool} overlaps with ${found.cidr}, which this machine reaches by ${found.device}`,
        remedy: `choose another range with --${option}`,
      };
    }
  }
  return null;
}

/** Whether two ranges have an address in common. */
export function rangesOverlap(a: string, b: string): boolean {
  return isWithin(a, b) || isWithin(b, a);
}

/** Whether all of `inner` lies in `outer`; a default route is nobody's network. */
function isWithin(inner: string, outer: string): boolean {
  const [small, large] = [tryParseCidr(inner), tryParseCidr(outer)];
  if (small === null || large === null || large.length === 0 || small.length === 0) return false;
  return small.length >= large.length && cidrContains(large, small.base);
}

function isBelow(path: string, directory: string): boolean {
  return path === directory || path.startsWith(`${directory}/`);
}

function describe({ state, pid, runDir }: KnownHolding): string {
  const whom = state === 'alive' ? `the agent with pid ${pid}` : `an agent that has ended (pid ${pid})`;
  return `${whom}, run directory ${runDir}`;
}
