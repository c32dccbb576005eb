/**
 * The numbers that user space and the eBPF programs share: the TypeScript side of the enums in bpf/abi. A test compares both
 * through the BTF of the compiled objects, in both directions, so neither side can change alone.
 */

/** enum weft_schema: raised when the meaning or layout of a pinned map changes. bpf/abi/layouts.txt says what it stands for. */
export const SCHEMA = 4;

/** enum weft_config_flag. */
export const CONFIG_FLAG = {
  /** The address maps do not hold the whole mesh: unknown destinations go to the agent. */
  incomplete: 1,
  /** Datagrams to workloads of other nodes may go in clear: the operator said so. */
  datagramsClear: 2,
} as const;

/** enum weft_workload_flag. */
export const WORKLOAD_FLAG = {
  /** Speaks HBONE by itself: a waypoint. */
  nativeTunnel: 1,
  /** Opens nothing to destinations that the mesh does not know. */
  registryOnly: 2,
  /** What it asks nameservers goes to these, and not to the agent. */
  ownDns: 4,
} as const;

/** enum weft_address_flag. */
export const ADDRESS_FLAG = {
  /** Enrolled on this node. */
  local: 1,
  /** Reached by HBONE from other nodes. */
  hbone: 2,
  /** No policy restricts inbound traffic: plain text may go straight to the app. */
  plaintextOpen: 4,
  /** Nobody of the mesh has it, where unknown addresses are asked for. */
  outside: 8,
} as const;

/** enum weft_service_flag. */
export const SERVICE_FLAG = {
  /** The kernel's slots cannot express it: the agent chooses. */
  agent: 1,
  /** At port 0: workloads of the mesh stand behind the VIP. */
  mesh: 2,
  /** It draws from `splits`, which name slots of other services, or a second waypoint. */
  split: 4,
  /** It has no endpoints: connections go where they were going. */
  passthrough: 8,
  /** A client stays with its backend, as long as `affinities` says. */
  affinity: 16,
} as const;

/** enum weft_reason: why a connection took its path, or why it was refused (16 and up). */
export const REASON = {
  none: 0,
  direct: 1,
  evaluate: 2,
  hbone: 3,
  waypoint: 4,
  unknownDestination: 5,
  agentService: 6,
  dns: 7,
  denied: 16,
  noBackend: 17,
  noSuchPort: 18,
  noMemory: 19,
  reservedPort: 20,
  noAgent: 21,
  notLocal: 22,
  notAttested: 23,
  share: 24,
  datagram: 32,
  linkFrame: 33,
  linkSource: 34,
  linkNeighbour: 35,
  linkGroup: 36,
  linkClear: 37,
  unknownMesh: 38,
  notRegistered: 39,
} as const;

/** enum weft_taken: what became of the one connection that an attestation lets in. */
export const TAKEN = { not: 0, byOne: 1, told: 2 } as const;

/** enum weft_hook: which program reported an event. */
export const HOOK = { connect: 1, lookup: 2, bind: 3, link: 4, flow: 8 } as const;

/** Why a frame ended on its link: the order in which each link counts them. */
export const LINK_CAUSES = [
  REASON.linkFrame,
  REASON.linkSource,
  REASON.linkNeighbour,
  REASON.linkGroup,
  REASON.linkClear,
] as const;

/** enum weft_counter, by index. */
export const COUNTERS = [
  'direct',
  'captured',
  'waypoint',
  'passthrough',
  'refused',
  'dns',
  'inbound_attested',
  'inbound_open',
  'inbound_agent',
  'inbound_refused',
  'event_lost',
  'map_full',
  'inbound_late',
  'link_dropped',
] as const;

/** One of them. */
export type CounterName = (typeof COUNTERS)[number];

/** Every enum of the contract as C spells it: name → enumerator → number. */
export const ENUMS: Readonly<Record<string, Readonly<Record<string, number>>>> = {
  weft_schema: { WEFT_SCHEMA: SCHEMA },
  weft_config_flag: inC('CONFIG', CONFIG_FLAG),
  weft_workload_flag: inC('WORKLOAD', WORKLOAD_FLAG),
  weft_address_flag: inC('ADDRESS', ADDRESS_FLAG),
  weft_service_flag: inC('SERVICE', SERVICE_FLAG),
  weft_reason: inC('REASON', REASON),
  weft_hook: inC('HOOK', HOOK),
  weft_taken: inC('TAKEN', TAKEN),
  weft_counter: {
    ...inC('COUNT', Object.fromEntries(COUNTERS.map((name, index) => [name, index]))),
    WEFT_COUNTERS: COUNTERS.length,
  },
};

/** `plaintextOpen` of ADDRESS is WEFT_ADDRESS_PLAINTEXT_OPEN. */
function inC(prefix: string, values: Readonly<Record<string, number>>): Record<string, number> {
  const upper = (name: string): string => name.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase();
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [`WEFT_${prefix}_${upper(name)}`, value]));
}
