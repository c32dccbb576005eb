import { COUNTERS, LINK_CAUSES } from './abi.ts';
import { chars, ip, type Layout, list, mac, s32, scalar, struct, u8, u16, u32, u64 } from './layout.ts';

/**
 * The maps of the data path, each told once: the typed view of the real maps, the maps in memory that unit tests use and the
 * types of the agent are all derived from here. Structs mirror bpf/abi, maps mirror the headers of bpf/lib; a test compares
 * them with the BTF of the compiled objects.
 */

/** A number of ours as a whole key or value. */
const ID = scalar('id', u32);
/** Which network namespace: the kernel gives each a number that is never used again. */
const NETNS_COOKIE = scalar('netns cookie', u64);
/** Which socket: the kernel gives each a number that is never used again. */
const SOCKET_COOKIE = scalar('socket cookie', u64);
/** How often something happened. */
const COUNT = scalar('count', u64);
/** How long, as a whole value. */
const SECONDS = scalar('seconds', u32);
/** The key and the value of a ring. */
const NOTHING = scalar('nothing', chars(0));
/** Which interface of the host's network namespace. */
const INTERFACE_INDEX = scalar('interface index', u32);
/** An address as a whole key. */
const IP = scalar('ip', ip);

const CONFIG = struct('weft_config', {
  schema: u32,
  generation: u32,
  flags: u32,
  outboundPort: u16,
  plaintextPort: u16,
  hbonePort: u16,
  dnsPort: u16,
  waypointPort: u16,
  pad0: u16,
  lastId: u32,
});

const WORKLOAD = struct('weft_workload', { id: u32, flags: u32, ip4: ip, ip6: ip });
const ADDRESS = struct('weft_address', { id: u32, flags: u32, waypointId: u32, pad0: u32 });
const LINK_OWNER = struct('weft_link', {
  netnsCookie: u64,
  mac,
  pad0: chars(2),
  dropped: list(u64, LINK_CAUSES.length),
  toldNs: list(u64, LINK_CAUSES.length),
});
const NAME = struct('weft_name', { uid: chars(256), identity: chars(512) });

const SERVICE_KEY = struct('weft_service_key', { ip, port: u16, protocol: u8, pad0: u8 });
const SERVICE = struct('weft_service', { id: u32, backendCount: u32, waypointId: u32, flags: u32 });
/** `prefixLength`: of all that follows, in bits. */
const BLOCK_KEY = struct('weft_block_key', { prefixLength: u32, isV4: u32, ip });
const BACKEND_KEY = struct('weft_backend_key', { serviceId: u32, slot: u32 });
const BACKEND = struct('weft_backend', { ip, port: u16, pad0: u16 });
const SPLIT = struct('weft_split', { setId: u32, backendCount: u32 });
const SESSION_KEY = struct('weft_session_key', { serviceId: u32, client: ip });
const SESSION = struct('weft_session', {
  usedNs: u64,
  backend: ip,
  split: u32,
  setId: u32,
  slot: u32,
  backendPort: u16,
  pad0: u16,
});
const PERMIT_KEY = struct('weft_permit_key', { sourceId: u32, port: u16, pad0: u16, ip });
const PERMIT = struct('weft_permit', { untilNs: u64, name: chars(256) });
const WAYPOINT = struct('weft_waypoint', { ip4: ip, ip6: ip });

/** Datagrams of one socket to one port of a service. */
export const DATAGRAM_FLOW = struct('weft_datagram_flow', {
  dialled: ip,
  backend: ip,
  dialledPort: u16,
  backendPort: u16,
  setId: u32,
  slot: u32,
});
/** Kept on each socket by the kernel; read by no one else. */
const DATAGRAMS = struct('weft_datagrams', { next: u32, last: u32, flows: list(DATAGRAM_FLOW, 4) });

const VERDICT_KEY = struct('weft_verdict_key', { sourceId: u32, destinationId: u32, port: u16, pad0: u16 });
const VERDICT = struct('weft_verdict', { generation: u32, allow: u8, pad0: chars(3) });

const FLOW = struct('weft_flow', {
  netnsCookie: u64,
  source: ip,
  destination: ip,
  sourcePort: u16,
  destinationPort: u16,
  pad0: u32,
});
const ORIGIN = struct('weft_origin', {
  sourceId: u32,
  destinationId: u32,
  dialled: ip,
  backend: ip,
  dialledPort: u16,
  backendPort: u16,
  reason: u16,
  pad0: u16,
  taken: u32,
  generation: u32,
});
const LIVE_FLOW = struct('weft_live_flow', {
  flow: FLOW,
  sourceId: u32,
  destinationId: u32,
  generation: u32,
  inbound: u8,
  pad0: chars(3),
});
/** What a workload holds of what all share. */
const SHARE = struct('weft_share', { live: s32, carried: s32, events: u32, ends: u32, windowNs: u64 });
const LIMITS = struct('weft_limits', {
  liveAssured: s32,
  liveOpen: s32,
  carriedAssured: s32,
  carriedOpen: s32,
  events: u32,
  pad0: u32,
});
const UNTOLD_KEY = struct('weft_untold_key', { workloadId: u32, reason: u16, hook: u16 });
const PEER_KEY = struct('weft_peer_key', { netnsCookie: u64, ip, port: u16, pad0: u16, pad1: u32 });
const PEER = struct('weft_peer', { ip, port: u16, pad0: u16 });
/** Kept on each socket by the kernel; read by no one else, but as much a part of what is pinned. */
const SOCKET = struct('weft_socket', {
  version: u8,
  flags: u8,
  port: u16,
  ip,
  backendPort: u16,
  reason: u16,
  backend: ip,
  sourceId: u32,
  destinationId: u32,
  generation: u32,
});

const TRAFFIC_KEY = struct('weft_traffic_key', { sourceId: u32, destinationId: u32, vip: ip, reason: u16, inbound: u16 });
const TRAFFIC = struct('weft_traffic', {
  opened: u64,
  closed: u64,
  failed: u64,
  fromClient: u64,
  fromServer: u64,
  retransmits: u64,
});

/** A record of the `ended` ring. */
export const ENDED = struct('weft_ended', {
  socketCookie: u64,
  fromClient: u64,
  fromServer: u64,
  flow: FLOW,
  dialled: ip,
  sourceId: u32,
  destinationId: u32,
  durationMs: u32,
  rttUs: u32,
  retransmits: u32,
  dialledPort: u16,
  reason: u16,
  inbound: u8,
  state: u8,
  pad0: chars(6),
});

/** A record of the `events` ring. */
export const EVENT = struct('weft_event', {
  timeNs: u64,
  sourceId: u32,
  destinationId: u32,
  source: ip,
  destination: ip,
  sourcePort: u16,
  destinationPort: u16,
  reason: u16,
  hook: u16,
});

/** How a map behaves: the kernel's types, by short names. */
export type MapKind = 'array' | 'hash' | 'lru' | 'trie' | 'percpu' | 'ring' | 'sockets' | 'storage';

/** One map: how it behaves, how many entries it holds at most, and what it maps to what. */
export type MapDefinition<K, V, Kind extends MapKind = MapKind> = {
  kind: Kind;
  entriesMax: number;
  key: Layout<K>;
  value: Layout<V>;
};

function map<Kind extends MapKind, K, V>(
  kind: Kind,
  entriesMax: number,
  key: Layout<K>,
  value: Layout<V>,
): MapDefinition<K, V, Kind> {
  return { kind, entriesMax, key, value };
}

/** Every map that the agent reads or writes. `ownSockets` is `own_sockets` in C and among the pins. */
export const MAPS = {
  config: map('array', 1, ID, CONFIG),
  workloads: map('hash', 4096, NETNS_COOKIE, WORKLOAD),
  addresses: map('hash', 262_144, IP, ADDRESS),
  names: map('hash', 8192, ID, NAME),
  links: map('hash', 4096, INTERFACE_INDEX, LINK_OWNER),
  services: map('hash', 131_072, SERVICE_KEY, SERVICE),
  /** What it names is an address in `services`. */
  blocks: map('trie', 16_384, BLOCK_KEY, IP),
  backends: map('hash', 524_288, BACKEND_KEY, BACKEND),
  splits: map('hash', 131_072, BACKEND_KEY, SPLIT),
  affinities: map('hash', 131_072, ID, SECONDS),
  sessions: map('lru', 32_768, SESSION_KEY, SESSION),
  permits: map('hash', 65_536, PERMIT_KEY, PERMIT),
  waypoints: map('hash', 4096, ID, WAYPOINT),
  verdicts: map('lru', 65_536, VERDICT_KEY, VERDICT),
  attested: map('lru', 65_536, FLOW, ORIGIN),
  captured: map('lru', 65_536, FLOW, ORIGIN),
  flows: map('hash', 1_048_576, SOCKET_COOKIE, LIVE_FLOW),
  shares: map('hash', 8192, ID, SHARE),
  totalShare: map('array', 1, ID, SHARE),
  limits: map('array', 1, ID, LIMITS),
  untold: map('hash', 65_536, UNTOLD_KEY, COUNT),
  peers: map('hash', 65_536, PEER_KEY, PEER),
  /** Value: a listening socket's file descriptor when written, its cookie when read. */
  listeners: map('sockets', 4096, ID, SOCKET_COOKIE),
  /** Key: a socket's file descriptor. */
  ownSockets: map('storage', 0, ID, ID),
  sockets: map('storage', 0, ID, SOCKET),
  datagrams: map('storage', 0, ID, DATAGRAMS),
  counters: map('percpu', COUNTERS.length, ID, COUNT),
  traffic: map('hash', 65_536, TRAFFIC_KEY, TRAFFIC),
  /** Ends of connections that the kernel carried, each an ENDED. */
  ended: map('ring', 1 << 20, NOTHING, NOTHING),
  /** Refusals, each an EVENT; a ring has bytes where others have entries, and neither keys nor values. */
  events: map('ring', 1 << 20, NOTHING, NOTHING),
} as const;

/** The names of the maps. */
export type MapName = keyof typeof MAPS;
/** The key of a map as a plain value. */
export type MapKey<Name extends MapName> = (typeof MAPS)[Name] extends MapDefinition<infer K, infer _V> ? K : never;
/** The value of a map as a plain object. */
export type MapValue<Name extends MapName> = (typeof MAPS)[Name] extends MapDefinition<infer _K, infer V> ? V : never;

/** What code may do with a map, in the kernel or in memory. */
export type Table<K, V> = {
  /** Null when there is no such entry. */
  get(key: K): V | null;
  /** Reads and deletes in one: of two who ask, one gets it. Not for arrays. */
  take(key: K): V | null;
  /** Errors: WEFT_BPF_MAP, with E2BIG in the message when the map is full. */
  set(key: K, value: V): void;
  /** True when the key was there. */
  delete(key: K): boolean;
  /** A snapshot of all entries. */
  entries(): [K, V][];
};

/** The kinds whose entries are plain values, so that a map in memory can stand in for them. */
export const TABLE_KINDS = ['array', 'hash', 'lru', 'trie'] as const satisfies readonly MapKind[];
type TableKind = (typeof TABLE_KINDS)[number];

/** The maps of the node's data path that hold plain values. One writer: the agent. */
export type KernelMaps = {
  [Name in MapName as (typeof MAPS)[Name]['kind'] extends TableKind ? Name : never]: Table<MapKey<Name>, MapValue<Name>>;
};

/** A connection as its initiator sees it. */
export type Flow = MapKey<'captured'>;
/** What the kernel recorded of a captured connection: who opened it, what was dialled, what was chosen. */
export type Origin = MapValue<'captured'>;
/** What a workload, or the whole node, holds of what all share. */
export type Share = MapValue<'shares'>;
/** How much one workload may hold. */
export type KernelLimits = MapValue<'limits'>;
/** A live connection that no process of ours carries. */
export type LiveFlow = MapValue<'flows'>;
/** One refusal, as the kernel reported it; `timeNs` is the kernel's monotonic clock. */
export type KernelEvent = ReturnType<typeof EVENT.decode>;

/** What the kernel counted of the connections between two, and who they are. */
export type Traffic = MapValue<'traffic'>;
/** See there. */
export type TrafficKey = MapKey<'traffic'>;
/** The end of a connection that the kernel carried, as it was reported. */
export type EndedFlow = ReturnType<typeof ENDED.decode>;

/** The name of a map in C and among the pins. */
export function nameInC(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
