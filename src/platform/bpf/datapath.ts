import { closeSync, openSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { SCHEMA } from '#model/kernel/abi.ts';
import { mallocTrim } from '#platform/ffi/libc.ts';
import { ArrivalCopies } from './arrival-copies.ts';
import { hasSetRetval } from './features.ts';
import { type LinkHandle, libbpf, type ProgramHandle } from './libbpf.ts';
import { attachGuard, forgetLinks, indexOfLink, isOfLivingInterface, rememberLink, type WorkloadLink } from './link-guard.ts';
import { type Attachment, cgroupOf, Links, netnsOf } from './links.ts';
import { type LoadedObject, loadObject } from './object.ts';
import { type DatapathMaps, linksDirectory, mapsDirectory, mapsInForce, openMaps, preparePins, putInForce } from './pins.ts';

const OBJECTS = ['connect', 'getpeername', 'datagram', 'flow', 'bind', 'lookup', 'link'] as const;
const ARRIVAL_OBJECT = 'lookup';
const ARRIVAL_PROGRAM = 'weft_arrival';
const GUARD_PROGRAM = 'weft_link';
/** Attached elsewhere than to the node's cgroup. */
const OTHER_PLACES: ReadonlySet<string> = new Set([ARRIVAL_PROGRAM, GUARD_PROGRAM]);

/**
 * The eBPF side of one node: programs attached to its cgroup subtree and to each enrolled namespace,
 * all pinned, so that they outlive the agent. One writer: the agent of the node.
 */
export type Datapath = {
  maps: DatapathMaps;
  /** True when maps of a former agent were re-used. */
  adopted: boolean;
  /** The kernel's monotonic clock, as the programs read it. */
  nowNs(): bigint;
  /** False when a program of the node was missing at the start, or its maps: connections may have been made that nobody judged. */
  guarded: boolean;
  /** Attaches the arrival program to a network namespace; replaces the program of an existing pin. */
  attachNamespace(netnsPath: string, netnsCookie: bigint): void;
  detachNamespace(netnsCookie: bigint): void;
  /**
   * Puts the guard on the host's end of a workload's link, an interface of the calling thread's network namespace. It lets
   * nothing pass until the workload is enrolled under this cookie, nor after it left. Errors: WEFT_BPF_ATTACH, WEFT_BPF_MAP.
   */
  guardLink(link: WorkloadLink, netnsCookie: bigint): void;
  /** Forgets the link of a namespace; its guard stays, closed, until the interface is gone. */
  releaseLink(netnsCookie: bigint): void;
  /**
   * Programs of other maps than these hold the node until this is called, when all that is enrolled stands in the new maps;
   * does nothing when there are none. Errors: WEFT_BPF_ATTACH.
   */
  activate(): void;
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
  /** Which layout the maps have; another one than that of the programs is for tests of an upgrade. */
  schema?: number;
};

/** Programs that are loaded with the maps of a node that are in force, and attached nowhere yet. */
export type LoadedAhead = { readonly objects: LoadedObject[]; readonly maps: number };

/**
 * Loads the programs for a node that another agent has, which notices nothing of it. Null: nothing is in force that they could
 * share. Errors: WEFT_BPF_OPEN, WEFT_BPF_LOAD.
 */
export function loadAhead(options: DatapathOptions): LoadedAhead | null {
  const maps = mapsInForce(options.pinDir, options.schema ?? SCHEMA);
  return maps === null ? null : { objects: loadAll(options), maps };
}

/**
 * Loads the programs and attaches them. Maps that a former agent left with the same schema are adopted (E20). Otherwise new
 * ones come up beside them, and what is attached stays as it is until `activate`: an upgrade opens nothing. `ahead`: programs that
 * are taken if their maps are still those in force.
 * Errors: WEFT_BPF_OPEN, WEFT_BPF_LOAD, WEFT_BPF_ATTACH.
 */
export function openDatapath(options: DatapathOptions, ahead: LoadedAhead | null = null): Datapath {
  const { pinDir, schema = SCHEMA } = options;
  const { adopted, inForce } = preparePins(pinDir, schema);
  const isHeld = readdirSync(linksDirectory(pinDir)).length > 0;
  const loaded = takeAhead(options, ahead) ?? loadAll(options);
  const maps = openMaps(mapsDirectory(pinDir, schema));
  const links = new Links(linksDirectory(pinDir), isHeld && !adopted);
  const cgroup = openSync(options.cgroupPath, 'r');
  const onCgroup = cgroupAttachments(options, loaded, cgroup);
  const guarded = inForce && onCgroup.every((one) => links.holds(one));
  const copies = new ArrivalCopies(() => load(options, ARRIVAL_OBJECT, null));
  const close = (): void => {
    copies.close();
    links.close();
    closeSync(cgroup);
    for (const map of Object.values(maps)) map.close();
    for (const object of loaded) object.close();
  };
  try {
    for (const one of onCgroup) links.attach(one);
  } catch (error) {
    close();
    throw error;
  }
  return {
    maps,
    adopted,
    guarded,
    nowNs: () => process.hrtime.bigint(),
    attachNamespace: (netnsPath, netnsCookie) => attachNamespace(links, copies, netnsPath, netnsCookie),
    detachNamespace: (netnsCookie) => links.detach(namespaceLink(netnsCookie)),
    guardLink: (link, netnsCookie) => {
      const index = indexOfLink(link);
      rememberLink(maps.links, index, link, netnsCookie);
      attachGuard(links, programOf(loaded, GUARD_PROGRAM), index, linksDirectory(pinDir));
    },
    releaseLink: (netnsCookie) => forgetLinks(maps.links, netnsCookie),
    activate: () => {
      const names = new Set(onCgroup.map(({ name }) => name));
      putInForce(pinDir, schema, () =>
        links.activate((name, link) => names.has(name) || isOfLivingNamespace(name, link) || isOfLivingInterface(name, link)),
      );
    },
    close,
  };
}

/** What is loaded for other maps than those in force is let go. */
function takeAhead({ pinDir, schema = SCHEMA }: DatapathOptions, ahead: LoadedAhead | null): LoadedObject[] | null {
  if (ahead === null) return null;
  if (ahead.maps === mapsInForce(pinDir, schema)) return ahead.objects;
  for (const object of ahead.objects) object.close();
  return null;
}

function loadAll(options: DatapathOptions): LoadedObject[] {
  const tunables = Buffer.alloc(4);
  tunables.writeInt32LE(hasSetRetval() ? 1 : 0);
  // The arrival program is loaded here too, for its maps and to hear at once of a kernel that refuses it.
  const loaded = OBJECTS.map((name) => load(options, name, name === ARRIVAL_OBJECT ? null : tunables));
  mallocTrim(0); // for each object libbpf reads the kernel's types, which lie between what is kept: 1.5 MB
  return loaded;
}

function load({ objectsDir, pinDir, schema }: DatapathOptions, name: string, constants: Buffer | null): LoadedObject {
  const directory = mapsDirectory(pinDir, schema);
  return loadObject(join(objectsDir, `${name}.o`), (map) => ({ pinPath: join(directory, map) }), constants);
}

function programOf(objects: readonly LoadedObject[], name: string): ProgramHandle {
  for (const object of objects) {
    const program = object.programs.get(name);
    if (program !== undefined) return program;
  }
  throw new Error(`no eBPF program is called ${name}`);
}

/** connect comes last: what it redirects must already be understood. */
function cgroupAttachments({ cgroupPath }: DatapathOptions, loaded: readonly LoadedObject[], cgroup: number): Attachment[] {
  const id = statSync(cgroupPath, { bigint: true }).ino;
  return loaded
    .flatMap((object) => [...object.programs])
    .filter(([name]) => !OTHER_PLACES.has(name))
    .map(([name, program]) => ({
      name,
      program,
      attach: () => libbpf().attachCgroup(program, cgroup),
      target: cgroupPath,
      isHere: (link: LinkHandle) => cgroupOf(link) === id,
      isLast: name.startsWith('weft_connect'),
    }))
    .sort((a, b) => Number(a.isLast) - Number(b.isLast));
}

/**
 * Each namespace has a copy of the program with its own cookie, because the hook has no way to ask where it runs: it is what
 * keeps a neighbour with a borrowed address from taking a connection. Measured: 60 KiB a namespace.
 */
function attachNamespace(links: Links, copies: ArrivalCopies, netnsPath: string, netnsCookie: bigint): void {
  const object = copies.take(netnsCookie);
  const program = programOf([object], ARRIVAL_PROGRAM);
  const attach = (): LinkHandle | null => {
    const netns = openSync(netnsPath, 'r');
    try {
      return libbpf().attachNetns(program, netns);
    } finally {
      closeSync(netns);
    }
  };
  // The cookie in the name is never used again: a link of that name is of this namespace, unless it is gone.
  const isHere = (link: LinkHandle): boolean => netnsOf(link) !== 0;
  links.attach({ name: namespaceLink(netnsCookie), program, attach, target: netnsPath, isHere, settled: () => object.close() });
}

/** A namespace that is gone leaves its link, with nothing behind it; one that lives keeps its guard, enrolled here or not. */
function isOfLivingNamespace(name: string, link: LinkHandle): boolean {
  return name.startsWith(NAMESPACE_LINK) && netnsOf(link) !== 0;
}

const NAMESPACE_LINK = 'netns_';

function namespaceLink(netnsCookie: bigint): string {
  return `${NAMESPACE_LINK}${netnsCookie}`;
}
