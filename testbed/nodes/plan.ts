import { join } from 'node:path';
import { WeftError } from '#model/error.ts';
import { PORT } from '#model/mesh/ports.ts';

/** The names of virtual nodes, in the order they are given out. */
export const NODE_NAMES = ['alpha', 'beta', 'gamma', 'delta', 'epsilon', 'zeta', 'eta', 'theta'] as const;
/** One of them. */
export type NodeName = (typeof NODE_NAMES)[number];

/** One virtual node: a network namespace, a cgroup subtree and the address pools of its workloads. */
export type NodePlan = {
  name: NodeName;
  /** The node's name in the mesh. Agents name kernel objects after it, so it must be unique on the machine. */
  meshName: string;
  /** From 1; appears in every address of the node. */
  index: number;
  netns: string;
  cgroup: string;
  pool4: string;
  pool6: string;
  /** Addresses of the node itself on the wire between the nodes; only HBONE may cross it. */
  link4: string;
  link6: string;
};

/** Everything a lab needs to know before it changes the machine. A pure function of its inputs. */
export type LabPlan = {
  /** Names the lab; part of every name it gives. */
  id: string;
  /** Holds sockets, state, captures and the private bpffs of this lab. */
  runDir: string;
  /** Apart from `runDir`, because it outlives a run that failed. */
  logDir: string;
  /** Parent of every cgroup of this lab. */
  cgroupRoot: string;
  /** Cgroup of the processes that are no workload: control plane, agents, captures. */
  hostCgroup: string;
  /** A bpf file system of the lab's own, where the agents pin. */
  bpffsMount: string;
  ctlNetns: string;
  outsideNetns: string;
  /** The namespace of the switch between more than two nodes; two have a cable. */
  switchNetns: string | null;
  /** In order, `alpha` first. */
  nodes: readonly NodePlan[];
};

/** Names the process that owns a lab, so that a later run can tell a dead one's remains from a live one's. */
export const OWNER_FILE = 'owner';

/** The interface of each node that leads to the other ones, and the bridge of the switch: captures are taken here. */
export const LINK_INTERFACE = 'wire';

/** The control plane's address, reachable over the management links only. */
export const CONTROL_HOST = '10.90.0.1';
export const CONTROL_ADDRESS = `${CONTROL_HOST}:${PORT.control}`;

/** The host outside the mesh (documentation ranges of RFC 5737 and RFC 3849). */
export const OUTSIDE_4 = '198.51.100.10';
export const OUTSIDE_6 = '2001:db8:100::10';
export const OUTSIDE_ECHO_PORT = 7000;
/** The one name that the resolver outside the mesh knows. */
export const OUTSIDE_NAME = 'www.outside.example';
/** The addresses by which the outside host knows node alpha itself. */
export const ALPHA_FROM_OUTSIDE = { 4: '10.91.1.2', 6: 'fd91:0:0:1::2' } as const;

/** What the id of a lab may be: it has no dash, so that it can be read out of the names made with it. */
export const LAB_ID = /^[a-z0-9]{1,12}$/;

/** Every address of a lab is fixed: each lives in a namespace of its own, so labs cannot collide. */
export function planLab(id: string, baseDir: string, cgroup2Mount: string, nodeCount = 2): LabPlan {
  const name = `weft-lab-${id}`;
  const runDir = join(baseDir, name);
  const cgroupRoot = join(cgroup2Mount, name);
  const node = (node: NodeName, at: number): NodePlan => ({
    name: node,
    meshName: `${node}-${id}`,
    index: at + 1,
    netns: `${name}-${node}`,
    cgroup: join(cgroupRoot, node),
    pool4: `10.89.${at + 1}.0/24`,
    pool6: `fd89:0:0:${at + 1}::/64`,
    link4: `10.88.0.${at + 1}`,
    link6: `fd88::${at + 1}`,
  });
  return {
    id,
    runDir,
    logDir: join(baseDir, `weft-logs-${id}`),
    cgroupRoot,
    hostCgroup: join(cgroupRoot, 'host'),
    bpffsMount: join(runDir, 'bpf'),
    ctlNetns: `${name}-ctl`,
    outsideNetns: `${name}-outside`,
    switchNetns: nodeCount > 2 ? `${name}-switch` : null,
    nodes: NODE_NAMES.slice(0, nodeCount).map(node),
  };
}

/** A node of the lab by its name. Errors: WEFT_LAB_NODE, naming those there are. */
export function nodeOf(plan: LabPlan, name: string): NodePlan {
  const found = plan.nodes.find((node) => node.name === name);
  if (found !== undefined) return found;
  throw new WeftError('WEFT_LAB_NODE', `lab ${plan.id} has no node "${name}"`, {
    remedy: `write one of: ${plan.nodes.map((node) => node.name).join(', ')}`,
  });
}

/** One end of a link: an interface in a named network namespace. */
export type LinkEnd = { netns: string; device: string };

/** `2 virtual nodes`. */
export function nodeCount({ nodes }: LabPlan): string {
  return nodes.length === 1 ? '1 virtual node' : `${nodes.length} virtual nodes`;
}

/** Where all that the nodes send one another passes by. Errors: WEFT_LAB_WIRE when there is only one node. */
export function wireOf({ id, nodes, switchNetns }: LabPlan): LinkEnd {
  const [first, second] = nodes;
  if (first !== undefined && second !== undefined) return { netns: switchNetns ?? first.netns, device: LINK_INTERFACE };
  throw new WeftError('WEFT_LAB_WIRE', `lab ${id} has one node, so nothing lies between nodes`, {
    remedy: 'start it with --nodes 2 or more',
  });
}

/** The namespaces a lab makes itself, in the order they are made. Agents add one per workload. */
export function plannedNamespaces({ nodes, switchNetns, ctlNetns, outsideNetns }: LabPlan): string[] {
  return [...nodes.map(({ netns }) => netns), ...(switchNetns === null ? [] : [switchNetns]), ctlNetns, outsideNetns];
}

/** The id of the lab in a name that this lab or an agent of it gave, or null. */
export function labIdOf(name: string): string | null {
  return new RegExp(`^weft-(?:lab|${NODE_NAMES.join('|')})-([a-z0-9]{1,12})(?:-|$)`).exec(name)?.[1] ?? null;
}
