import { closeSync, existsSync, mkdirSync, openSync, readdirSync, rmSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { WeftError } from '#model/error.ts';
import { SCHEMA } from '#model/kernel/abi.ts';
import { MAPS, type MapDefinition, type MapKey, type MapName, type MapValue, nameInC } from '#model/kernel/maps.ts';
import { hasSetRetval } from './features.ts';
import { type LinkHandle, libbpf, type ProgramHandle } from './libbpf.ts';
import { errno, errnoName } from './libc.ts';
import { type BpfMap, type OpenMap, openPin, openPinnedMap } from './map.ts';
import { type LoadedObject, loadObject } from './object.ts';

const OBJECTS = ['connect', 'getpeername', 'datagram', 'flow', 'lookup'] as const;
const ARRIVAL_OBJECT = 'lookup';
const ARRIVAL_PROGRAM = 'weft_arrival';

/** The shared maps, typed. Per-CPU counters and the ring are read through their descriptors alone. */
export type DatapathMaps = {
  [Name in MapName]: (typeof MAPS)[Name]['kind'] extends 'percpu' | 'ring' ? OpenMap : BpfMap<MapKey<Name>, MapValue<Name>>;
};

/**
 * The eBPF side of one node: programs attached to its cgroup subtree and to each enrolled namespace,
 * all pinned, so that they outlive the agent. One writer: the agent of the node.
 */
export type Datapath = {
  maps: DatapathMaps;
  /** True when maps of a former agent were re-used. */
  adopted: boolean;
  /** Attaches the arrival program to a network namespace; replaces the program of an existing pin. */
  attachNamespace(netnsPath: string, netnsCookie: bigint): void;
  detachNamespace(netnsCookie: bigint): void;
  /** Closes file descriptors; the kernel side goes on. */
  close(): void;
};

/** Where a data path is pinned and attached. */
export type DatapathOptions = {
  /** Directory on a bpf file system that this node owns. */
  pinDir: string;
  cgroupPath: string;
  /** Directory with the compiled objects. */
  objectsDir: string;
};

/**
 * Loads and attaches, or adopts what a former agent left if its schema is the same (E20).
 * Errors: WEFT_BPF_OPEN, WEFT_BPF_LOAD, WEFT_BPF_ATTACH.
 */
export function openDatapath(options: DatapathOptions): Datapath {
  const adopted = keepCompatiblePins(options.pinDir);
  for (const part of ['maps', 'links']) mkdirSync(join(options.pinDir, part), { recursive: true, mode: 0o700 });
  const loaded = loadAll(options);
  const maps = openMaps(options.pinDir);
  attachCgroup(options, loaded);
  return {
    maps,
    adopted,
    attachNamespace: (netnsPath, netnsCookie) => attachNamespace(options, netnsPath, netnsCookie),
    detachNamespace: (netnsCookie) => detachLink(namespacePin(options.pinDir, netnsCookie)),
    close: () => {
      for (const map of Object.values(maps)) map.close();
      for (const object of loaded) object.close();
    },
  };
}

function loadAll(options: DatapathOptions): LoadedObject[] {
  const tunables = Buffer.alloc(4);
  tunables.writeInt32LE(hasSetRetval() ? 1 : 0);
  // The arrival program is loaded here too, for its maps and to hear at once of a kernel that refuses it.
  return OBJECTS.map((name) => load(options, name, name === ARRIVAL_OBJECT ? netnsConstant(0n) : tunables));
}

function load({ objectsDir, pinDir }: DatapathOptions, name: string, constants: Buffer): LoadedObject {
  return loadObject(join(objectsDir, `${name}.o`), (map) => ({ pinPath: join(pinDir, 'maps', map) }), constants);
}

/** `own_netns_cookie` of bpf/lib/arrival.h; 0 is no namespace's. */
function netnsConstant(netnsCookie: bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(netnsCookie);
  return bytes;
}

function programOf(objects: readonly LoadedObject[], name: string): ProgramHandle {
  for (const object of objects) {
    const program = object.programs.get(name);
    if (program !== undefined) return program;
  }
  throw new Error(`no eBPF program is called ${name}`);
}

function attachCgroup(options: DatapathOptions, loaded: readonly LoadedObject[]): void {
  const api = libbpf();
  const cgroup = openSync(options.cgroupPath, 'r');
  try {
    // connect comes last: what it redirects must already be understood.
    const programs = loaded.flatMap((object) => [...object.programs]).filter(([name]) => name !== ARRIVAL_PROGRAM);
    const order = ([name]: [string, unknown]): number => (name.startsWith('weft_connect') ? 1 : 0);
    for (const [name, program] of programs.sort((a, b) => order(a) - order(b))) {
      attachPinned(join(options.pinDir, 'links', name), program, () => api.attachCgroup(program, cgroup), options.cgroupPath);
    }
  } finally {
    closeSync(cgroup);
  }
}

/**
 * Each namespace has a copy of the program with its own cookie, because the hook has no way to ask where it runs: it is what
 * keeps a neighbour with a borrowed address from taking a connection. Measured: 4 ms and 60 KiB a namespace.
 */
function attachNamespace(options: DatapathOptions, netnsPath: string, netnsCookie: bigint): void {
  const netns = openSync(netnsPath, 'r');
  let object: LoadedObject | null = null;
  try {
    object = load(options, ARRIVAL_OBJECT, netnsConstant(netnsCookie));
    const program = programOf([object], ARRIVAL_PROGRAM);
    const pin = namespacePin(options.pinDir, netnsCookie);
    attachPinned(pin, program, () => libbpf().attachNetns(program, netns), netnsPath);
  } finally {
    closeSync(netns);
    object?.close();
  }
}

/** Swaps the program under an existing link atomically, or attaches and pins a new link. */
function attachPinned(pin: string, program: ProgramHandle, attach: () => LinkHandle | null, target: string): void {
  const api = libbpf();
  if (existsSync(pin)) {
    const link = api.linkOpen(pin);
    const updated = link !== null && api.linkUpdateProgram(link, program) === 0;
    if (link !== null) api.linkDestroy(link);
    if (updated) return;
    unlinkSync(pin); // defunct: its cgroup or namespace is gone
  }
  const link = attach();
  if (link === null) {
    throw new WeftError('WEFT_BPF_ATTACH', `cannot attach ${api.programName(program)} to ${target}: ${errnoName(errno())}`, {
      remedy: 'run as root; EPERM can mean that another program holds the cgroup exclusively (bpftool cgroup tree)',
    });
  }
  const failed = api.linkPin(link, pin);
  api.linkDestroy(link);
  if (failed !== 0) throw new WeftError('WEFT_BPF_ATTACH', `cannot pin ${pin}: ${errnoName(-failed)}`);
}

function detachLink(pin: string): void {
  if (!existsSync(pin)) return;
  const api = libbpf();
  const link = api.linkOpen(pin);
  if (link !== null) {
    api.linkDetach(link);
    api.linkDestroy(link);
  }
  unlinkSync(pin);
}

function namespacePin(pinDir: string, netnsCookie: bigint): string {
  return join(pinDir, 'links', `netns_${netnsCookie}`);
}

/** Keeps pins of the same schema; detaches and removes those of another, or of an interrupted start. */
function keepCompatiblePins(pinDir: string): boolean {
  const configPin = join(pinDir, 'maps', 'config');
  if (!existsSync(pinDir)) return false;
  if (existsSync(configPin)) {
    const config = openPinnedMap(configPin, MAPS.config);
    const schema = config.get(0)?.schema;
    config.close();
    if (schema === SCHEMA) return true;
  }
  removePins(pinDir);
  return false;
}

/** Detaches every program of a node and removes its pins; nothing of it stays in the kernel once its sockets are gone. */
export function removePins(pinDir: string): void {
  const links = join(pinDir, 'links');
  if (existsSync(links)) for (const name of readdirSync(links)) detachLink(join(links, name));
  rmSync(pinDir, { recursive: true, force: true });
}

function openMaps(pinDir: string): DatapathMaps {
  const maps = Object.entries(MAPS).map(([name, definition]) => {
    const path = join(pinDir, 'maps', nameInC(name));
    const bare = definition.kind === 'percpu' || definition.kind === 'ring';
    return [name, bare ? openPin(path) : openPinnedMap(path, definition as MapDefinition<unknown, unknown>)];
  });
  return Object.fromEntries(maps) as DatapathMaps;
}
