import { join } from 'node:path';

/** The two virtual nodes. */
export const NODE_NAMES = ['alpha', 'beta'] as const;
/** One of them. */
export type NodeName = (typeof NODE_NAMES)[number];

/** One virtual node: a network namespace, a cgroup subtree and the address pools of its workloads. */
export type NodePlan = {
  name: NodeName;
  /** The node's name in the mesh. Agents name kernel objects after it, so it must be unique on the machine. */
  meshName: string;
  /** Appears in every address of the node. */
  index: number;
  netns: string;
  cgroup: string;
  pool4: string;
  pool6: string;
  /** Addresses of the node itself on the link between the nodes; only HBONE may cross it. */
  link4: string;
  link6: string;
};

/** Everything a run needs to know before it changes the machine. A pure function of its inputs. */
export type FabricPlan = {
  runId: string;
  /** Holds configuration copies, sockets, captures and the private bpffs of this run. */
  runDir: string;
  /** Apart from `runDir`, because it outlives a run that failed. */
  logDir: string;
  /** Parent of every cgroup of this run. */
  cgroupRoot: string;
  /** Cgroup of the processes that are no workload: control plane, agents, captures. */
  hostCgroup: string;
  /** A bpf file system of the run's own, where the agents pin. */
  bpffsMount: string;
  ctlNetns: string;
  outsideNetns: string;
  nodes: Record<NodeName, NodePlan>;
};

/** Names the process that owns a run, so that a later run can tell a dead one's remains from a live one's. */
export const OWNER_FILE = 'owner';

/** The interface of each node that leads to the other one; captures are taken here. */
export const LINK_INTERFACE = 'wire';

/** The control plane's address, reachable over the management links only. */
export const CONTROL_HOST = '10.90.0.1';
export const CONTROL_PORT = 15_012;

/** The host outside the mesh (documentation ranges of RFC 5737 and RFC 3849). */
export const OUTSIDE_4 = '198.51.100.10';
export const OUTSIDE_6 = '2001:db8:100::10';
export const OUTSIDE_ECHO_PORT = 7000;
/** The addresses by which the outside host knows node alpha itself. */
export const ALPHA_FROM_OUTSIDE = { 4: '10.91.1.2', 6: 'fd91:0:0:1::2' } as const;

/** Every address of the demo is fixed: each lives in a namespace of its own, so runs cannot collide. */
export function planFabric(runId: string, tempDir: string, cgroup2Mount: string): FabricPlan {
  const name = `weft-demo-${runId}`;
  const runDir = join(tempDir, name);
  const cgroupRoot = join(cgroup2Mount, name);
  const node = (node: NodeName, index: number): NodePlan => ({
    name: node,
    meshName: `${node}-${runId}`,
    index,
    netns: `${name}-${node}`,
    cgroup: join(cgroupRoot, node),
    pool4: `10.89.${index}.0/24`,
    pool6: `fd89:0:0:${index}::/64`,
    link4: `10.88.0.${index}`,
    link6: `fd88::${index}`,
  });
  return {
    runId,
    runDir,
    logDir: join(tempDir, `weft-logs-${runId}`),
    cgroupRoot,
    hostCgroup: join(cgroupRoot, 'host'),
    bpffsMount: join(runDir, 'bpf'),
    ctlNetns: `${name}-ctl`,
    outsideNetns: `${name}-outside`,
    nodes: { alpha: node('alpha', 1), beta: node('beta', 2) },
  };
}

/** The namespaces a run makes itself, in the order they are made. Agents add one per workload. */
export function plannedNamespaces(plan: FabricPlan): string[] {
  return [plan.nodes.alpha.netns, plan.nodes.beta.netns, plan.ctlNetns, plan.outsideNetns];
}

/** The six-character run id in a name that this demo or an agent of it gave, or null. */
export function runIdOf(name: string): string | null {
  return /^weft-(?:demo|alpha|beta)-([a-z0-9]{6})(?:-|$)/.exec(name)?.[1] ?? null;
}
