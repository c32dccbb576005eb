import { closeSync, existsSync, mkdirSync, openSync, readdirSync, rmSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { WeftError } from '#model/error.ts';
import * as abi from './abi.ts';
import { errnoName } from './errno.ts';
import { hasSetRetval } from './features.ts';
import { type LinkHandle, libbpf, type ProgramHandle } from './libbpf.ts';
import { errno } from './libc.ts';
import { BpfMap, openPinnedMap } from './map.ts';
import { type LoadedObject, loadObject } from './object.ts';

const OBJECTS = ['connect', 'getpeername', 'datagram', 'flow', 'lookup'] as const;
const ARRIVAL_PROGRAM = 'weft_arrival';

/** The shared maps, typed. Names are those of bpf/lib/maps.h. */
export type DatapathMaps = ReturnType<typeof openMaps>;

/**
 * The eBPF side of one node: programs attached to its cgroup subtree and to each enrolled namespace,
 * all pinned, so that they outlive the agent. One writer: the agent of the node.
 */
export type Datapath = {
  maps: DatapathMaps;
  /** True when maps of a former agent were re-used. */
  adopted: boolean;
  /** Attaches the arrival program to a network namespace; replaces the program of an existing pin. */
  attachNamespace(netnsPath: string, cookie: bigint): void;
  detachNamespace(cookie: bigint): void;
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
 * Loads and attaches, or adopts what a former agent left if its schema is the same (E20, section 8.3).
 * Errors: WEFT_BPF_OPEN, WEFT_BPF_LOAD, WEFT_BPF_ATTACH.
 */
export function openDatapath(options: DatapathOptions): Datapath {
  const adopted = keepCompatiblePins(options.pinDir);
  for (const part of ['maps', 'links']) mkdirSync(join(options.pinDir, part), { recursive: true, mode: 0o700 });
  const loaded = loadAll(options);
  const maps = openMaps(options.pinDir);
  attachCgroup(options, loaded);
  const arrival = programOf(loaded, ARRIVAL_PROGRAM);
  return {
    maps,
    adopted,
    attachNamespace: (netnsPath, cookie) => attachNamespace(options.pinDir, arrival, netnsPath, cookie),
    detachNamespace: (cookie) => detachLink(namespacePin(options.pinDir, cookie)),
    close: () => {
      for (const map of Object.values(maps)) map.close();
      for (const object of loaded) object.close();
    },
  };
}

function loadAll(options: DatapathOptions): LoadedObject[] {
  const tunables = Buffer.alloc(4);
  tunables.writeInt32LE(hasSetRetval() ? 1 : 0);
  return OBJECTS.map((name) =>
    loadObject(join(options.objectsDir, `${name}.o`), (map) => ({ pinPath: join(options.pinDir, 'maps', map) }), tunables),
  );
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
    // connect comes last (section 8.3): what it redirects must already be understood.
    const programs = loaded.flatMap((object) => [...object.programs]).filter(([name]) => name !== ARRIVAL_PROGRAM);
    const order = ([name]: [string, unknown]): number => (name.startsWith('weft_connect') ? 1 : 0);
    for (const [name, program] of programs.sort((a, b) => order(a) - order(b))) {
      attachPinned(join(options.pinDir, 'links', name), program, () => api.attachCgroup(program, cgroup), options.cgroupPath);
    }
  } finally {
    closeSync(cgroup);
  }
}

function attachNamespace(pinDir: string, program: ProgramHandle, netnsPath: string, cookie: bigint): void {
  const netns = openSync(netnsPath, 'r');
  try {
    attachPinned(namespacePin(pinDir, cookie), program, () => libbpf().attachNetns(program, netns), netnsPath);
  } finally {
    closeSync(netns);
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

function namespacePin(pinDir: string, cookie: bigint): string {
  return join(pinDir, 'links', `netns_${cookie}`);
}

/** Keeps pins of the same schema; detaches and removes those of another, or of an interrupted start. */
function keepCompatiblePins(pinDir: string): boolean {
  const configPin = join(pinDir, 'maps', 'config');
  if (!existsSync(pinDir)) return false;
  if (existsSync(configPin)) {
    const config = openPinnedMap(configPin, abi.ID, abi.CONFIG);
    const schema = config.get(0)?.schema;
    config.close();
    if (schema === abi.SCHEMA) return true;
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

function openMaps(pinDir: string) {
  const pin = (name: string): string => join(pinDir, 'maps', name);
  const raw = (name: string) => openPinnedMap(pin(name), abi.ID, abi.COOKIE);
  return {
    config: openPinnedMap(pin('config'), abi.ID, abi.CONFIG),
    workloads: openPinnedMap(pin('workloads'), abi.COOKIE, abi.WORKLOAD),
    addresses: openPinnedMap(pin('addresses'), abi.IP, abi.ADDRESS),
    services: openPinnedMap(pin('services'), abi.SERVICE_KEY, abi.SERVICE),
    backends: openPinnedMap(pin('backends'), abi.BACKEND_KEY, abi.BACKEND),
    waypoints: openPinnedMap(pin('waypoints'), abi.ID, abi.WAYPOINT),
    verdicts: openPinnedMap(pin('verdicts'), abi.VERDICT_KEY, abi.VERDICT),
    attested: openPinnedMap(pin('attested'), abi.FLOW, abi.ORIGIN),
    captured: openPinnedMap(pin('captured'), abi.FLOW, abi.ORIGIN),
    flows: openPinnedMap(pin('flows'), abi.COOKIE, abi.LIVE_FLOW),
    peers: openPinnedMap(pin('peers'), abi.PEER_KEY, abi.PEER),
    names: openPinnedMap(pin('names'), abi.ID, abi.NAME),
    /** value: a socket's file descriptor (its cookie when read). */
    listeners: raw('listeners'),
    /** key: a socket's file descriptor. */
    ownSockets: new BpfMap('own_sockets', libbpf().pinnedGet(pin('own_sockets')), abi.ID, abi.ID),
    /** Only its descriptor is used, by the ring reader. */
    events: new BpfMap('events', libbpf().pinnedGet(pin('events')), abi.ID, abi.ID),
    counters: raw('counters'),
  };
}
