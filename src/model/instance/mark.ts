/** What a directory of the mesh holds. */
export type MarkedKind = 'run' | 'node' | 'waypoints' | 'state';

/**
 * What is written into a directory of ours when it is made, so that whoever takes it away later knows whose it is. `path`: where
 * it was then; a copy of the directory, in somebody's backup say, is none of ours. `node`: of a node's directory. `runDir`: of
 * a state directory, the run directory of the control plane that uses it.
 */
export type Mark = { kind: MarkedKind; instance: string; path: string; node: string | null; runDir: string | null };

/** The file that holds the mark. */
export const MARK_NAME = 'weft.json';

/** The file whose lock a process holds for as long as it uses a directory. */
export const LOCK_NAME = 'lock';

/** What Weft itself puts into each, by its path below the directory. Nothing else is ever removed from there. */
const OWN: Readonly<Record<MarkedKind, RegExp>> = {
  run: /^(control\.sock|bpffs-mounted)$/,
  node: /^(agent\.sock|up\.lock|former-\d+\.lock|(token|control-root\.pem)(\.new)?|(workloads|sandbox-node)\.json(\.new)?|sandbox-next-host(\.new)?|sandboxes\/[^/]+\.(json|resolv\.conf)(\.new)?|runs\/[^/]+)$/,
  waypoints: /^(discovery\.sock|root-cert\.pem(\.new)?|[^/]+\.[^/]+\.(json|token|sock|log(\.\d+)?))(\.unfinished)?$/,
  state:
    /^(lock|writable|root-key\.pem|root-cert\.pem|next-root-key\.pem|root-rotation\.json|token-key\.pem|token-revocations\.json|allocations\.json|address-pools\.json|(registry|last-good)\/[^/]+\.json|logs\/[^/]+\.log(\.\d+)?)(\.unfinished)?$/,
};

/** Folders that Weft makes below a directory of its own. */
const FOLDERS: Readonly<Record<MarkedKind, readonly string[]>> = {
  run: [],
  node: ['sandboxes', 'runs'],
  waypoints: [],
  state: ['registry', 'last-good', 'logs'],
};

/** Whether a file below a marked directory is one that Weft makes there. */
export function isOwnFile(kind: MarkedKind, path: string): boolean {
  return path === MARK_NAME || OWN[kind].test(path);
}

/** Whether a folder right below a marked directory is one that Weft makes there. */
export function isOwnFolder(kind: MarkedKind, name: string): boolean {
  return FOLDERS[kind].includes(name);
}

/** Files that only Weft calls so: an unmarked directory that has one was made by a version without marks. */
const TELLING: Readonly<Record<MarkedKind, readonly string[]>> = {
  run: [],
  node: ['agent.sock', 'workloads.json', 'sandbox-node.json'],
  waypoints: ['discovery.sock'],
  state: ['root-key.pem', 'token-key.pem'],
};

/** Whether nobody but Weft calls a file so in such a directory. */
export function isTelling(kind: MarkedKind, name: string): boolean {
  return TELLING[kind].includes(name);
}

/** What may be done about a directory that is to be used as one of ours. */
export type Claim = 'ours' | 'adopt' | 'use' | 'foreign';

/**
 * Decides about a directory that is there already. `adopt`: it is marked as ours from now on; `use`: it stays somebody else's,
 * as a run directory may. `names`: what is in it; `mark`: what its mark says, null: it has none.
 */
export function claimOf(wanted: Omit<Mark, 'instance' | 'runDir'>, mark: Mark | null, names: readonly string[]): Claim {
  const { kind, node, path } = wanted;
  if (mark !== null && mark.kind === kind && mark.node === node) {
    // The state of a mesh may be moved to another disk; whoever opens it there owns it there.
    return mark.path === path ? 'ours' : 'adopt';
  }
  if (mark !== null) return 'foreign';
  if (names.length === 0 || names.some((name) => isTelling(kind, name))) return 'adopt';
  // Of a process that was killed before it wrote the mark, there is nothing else.
  if (names.every((name) => isOwnFile(kind, name) || isOwnFolder(kind, name))) return 'adopt';
  return kind === 'run' ? 'use' : 'foreign';
}

/** The mark in a file's text; null when it is none of ours. */
export function parseMark(text: string): Mark | null {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== 'object' || value === null) return null;
    const { kind, instance, path, node, runDir }: Partial<Record<keyof Mark, unknown>> = value;
    if (kind !== 'run' && kind !== 'node' && kind !== 'waypoints' && kind !== 'state') return null;
    if (typeof instance !== 'string' || typeof path !== 'string') return null;
    return { kind, instance, path, node: textOrNull(node), runDir: textOrNull(runDir) };
  } catch {
    return null;
  }
}

function textOrNull(value: unknown): string | null {
  return typeof value === 'string' ? value : null;
}

/** A state directory, as far as its mark tells. `other`: of the control plane of another run directory. */
export type StateTrace =
  | { kind: 'absent' }
  | { kind: 'foreign' }
  | { kind: 'ours'; locked: boolean }
  | { kind: 'other'; runDir: string | null };

/** What of a mesh is on this machine, by marks and by the register of nodes: nothing that only looks like it. */
export type MeshTraces = {
  /** Nodes of the run directory. `populated`: processes of workloads live there. */
  nodes: readonly { node: string; populated: boolean }[];
  /** Nodes of other run directories. */
  others: readonly { node: string; runDir: string }[];
  /** Nodes that have pins, and nothing says whose they are. */
  orphans: readonly string[];
  runDir: 'absent' | 'ours' | 'foreign';
  hasWaypoints: boolean;
  state: StateTrace;
};
