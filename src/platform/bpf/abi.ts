import { chars, ip, scalar, struct, u8, u16, u32, u64 } from './layout.ts';

/** The TypeScript mirror of bpf/abi/weft.h; abi.test.ts compares it with the BTF of the compiled objects. */
export const SCHEMA = 1;

/** The one entry of `config`. */
export const CONFIG = struct('weft_config', {
  schema: u32,
  generation: u32,
  flags: u32,
  outboundPort: u16,
  plaintextPort: u16,
  hbonePort: u16,
  dnsPort: u16,
  waypointPort: u16,
  pad0: u16,
});

/** Value of `workloads`. */
export const WORKLOAD = struct('weft_workload', { id: u32, flags: u32, ip4: ip, ip6: ip });

/** Value of `addresses`. */
export const ADDRESS = struct('weft_address', { id: u32, flags: u32, waypointId: u32, pad0: u32 });

/** Key of `services`. */
export const SERVICE_KEY = struct('weft_service_key', { ip, port: u16, protocol: u8, pad0: u8 });
/** Value of `services`. */
export const SERVICE = struct('weft_service', { id: u32, backendCount: u32, waypointId: u32, flags: u32 });

/** Key of `backends`. */
export const BACKEND_KEY = struct('weft_backend_key', { serviceId: u32, slot: u32 });
/** Value of `backends`. */
export const BACKEND = struct('weft_backend', { ip, port: u16, pad0: u16 });

/** Value of `waypoints`. */
export const WAYPOINT = struct('weft_waypoint', { ip4: ip, ip6: ip });

/** Key of `verdicts`. */
export const VERDICT_KEY = struct('weft_verdict_key', { sourceId: u32, destinationId: u32, port: u16, pad0: u16 });
/** Value of `verdicts`. */
export const VERDICT = struct('weft_verdict', { generation: u32, allow: u8, pad0: chars(3) });

/** Key of `attested` and `captured`. */
export const FLOW = struct('weft_flow', {
  netnsCookie: u64,
  source: ip,
  destination: ip,
  sourcePort: u16,
  destinationPort: u16,
  pad0: u32,
});
/** Value of `attested` and `captured`. */
export const ORIGIN = struct('weft_origin', {
  sourceId: u32,
  destinationId: u32,
  dialled: ip,
  backend: ip,
  dialledPort: u16,
  backendPort: u16,
  reason: u16,
  pad0: u16,
});
/** Value of `flows`. */
export const LIVE_FLOW = struct('weft_live_flow', {
  flow: FLOW,
  sourceId: u32,
  destinationId: u32,
  generation: u32,
  inbound: u8,
  pad0: chars(3),
});

/** Key of `peers`. */
export const PEER_KEY = struct('weft_peer_key', { netnsCookie: u64, ip, port: u16, pad0: u16, pad1: u32 });
/** Value of `peers`. */
export const PEER = struct('weft_peer', { ip, port: u16, pad0: u16 });
/** Value of `names`. */
export const NAME = struct('weft_name', { uid: chars(256), identity: chars(512) });
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

/** A number of ours as a whole key or value. */
export const ID = scalar('id', u32);
/** A namespace or socket cookie as a whole key or value. */
export const COOKIE = scalar('cookie', u64);
/** An address as a whole key. */
export const IP = scalar('ip', ip);

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
] as const;
