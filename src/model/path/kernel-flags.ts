/** Flags and reasons shared with the eBPF side (bpf/abi/weft.h); platform/bpf/abi.test.ts compares them. */
export const CONFIG_INCOMPLETE = 1;
export const WORKLOAD_NATIVE_TUNNEL = 1;
export const ADDRESS_LOCAL = 1;
export const ADDRESS_HBONE = 2;
export const ADDRESS_PLAINTEXT_OPEN = 4;
export const SERVICE_AGENT = 1;

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
} as const;

/** enum weft_hook: which program reported an event. */
export const HOOK = { connect: 1, lookup: 2 } as const;
