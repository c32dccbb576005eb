import { dirname, join } from 'node:path';

/** Where an agent works on its machine. */
export type NodePlace = {
  node: string;
  runDir: string;
  /** Mount point of a bpf file system. */
  bpffs: string;
  /** cgroup v2 directory of the node; null: weft/<node> below the mount, or all of it for pods. */
  cgroup: string | null;
  /** Addresses for what the agent starts; '': it starts nothing, and takes the pods of a cluster into the mesh. */
  pool4: string;
};

/** Whether the agent of a node starts workloads of its own. */
export function startsWorkloads({ pool4 }: Pick<NodePlace, 'pool4'>): boolean {
  return pool4 !== '';
}

/** Every file and directory that an agent owns. */
export type NodePaths = {
  nodeDir: string;
  socket: string;
  pinDir: string;
  cgroup: string;
  workloads: string;
  /** A file that says: the bpf file system was mounted by an agent, so the last one unmounts it. */
  mountedMark: string;
};

/** The places of an agent; `cgroupMount` finds the machine's cgroup v2 mount, and is asked only if the place names none. */
export async function nodePaths(place: NodePlace, cgroupMount: () => Promise<string>): Promise<NodePaths> {
  const nodeDir = join(place.runDir, place.node);
  return {
    nodeDir,
    socket: join(nodeDir, 'agent.sock'),
    pinDir: join(place.bpffs, 'weft', place.node),
    cgroup: place.cgroup ?? cgroupBelow(place, await cgroupMount()),
    workloads: join(nodeDir, 'workloads.json'),
    mountedMark: join(place.runDir, 'bpffs-mounted'),
  };
}

/** A pod's processes may be anywhere below the root: with hierarchies of version 1 beside it they are in none of their own. */
function cgroupBelow(place: NodePlace, mount: string): string {
  return startsWorkloads(place) ? join(mount, 'weft', place.node) : mount;
}

/** What removing a node does to the machine. */
export type NodeRemoval = {
  /** Ends what still runs in sandboxes, and removes them. */
  removeSandboxes(): Promise<void>;
  removePins(pinDir: string): void;
  /** Removes what the agent put into its directory, and the directory when nothing else is in it. */
  removeNodeDir(directory: string): void;
  /** Leaves a directory that holds something, and says nothing when there is none. */
  removeIfEmpty(directory: string): void;
  /** What a file holds; null when there is none. */
  textOf(file: string): string | null;
  removeFile(file: string): void;
  /** Unmounts the bpf file system unless somebody has something pinned in it. */
  releaseBpffs(mount: string): void;
  isBpffs(mount: string): boolean;
};

/**
 * Removes every trace of a node's agent, running or dead. Can be repeated after a failure: each step finds what is left.
 *
 * Sandboxes go first, while their programs still guard them: a process that outlived its programs would talk in plain
 * text. Files go last, because they say which addresses and interfaces were ours.
 */
export async function cleanNode(place: NodePlace, paths: NodePaths, removal: NodeRemoval): Promise<void> {
  await removal.removeSandboxes();
  removal.removePins(paths.pinDir);
  removal.removeIfEmpty(dirname(paths.pinDir)); // other nodes of this machine have their pins there
  removal.removeNodeDir(paths.nodeDir);
  // Mounted by somebody else: not ours to unmount. Nor is every file of that name our mark.
  if (removal.textOf(paths.mountedMark) !== place.bpffs) return;
  removal.releaseBpffs(place.bpffs);
  if (!removal.isBpffs(place.bpffs)) removal.removeFile(paths.mountedMark);
}
