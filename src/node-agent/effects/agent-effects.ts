import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { IpAddress } from '#model/address/ip.ts';
import type { Clock, Random } from '#model/effects/clock.ts';
import type { Log } from '#model/effects/log.ts';
import type { Credentials } from '#model/identity/credentials.ts';
import type { Identity } from '#model/identity/identity.ts';
import type { InboundTunnel, TunnelPool } from '#protocol/hbone/transport.ts';

/** A typed eBPF map. set() throws when the map is full. */
export type Table<K, V> = {
  get(key: K): V | null;
  set(key: K, value: V): void;
  delete(key: K): boolean;
  entries(): [K, V][];
};

/** A connection as its initiator sees it. */
export type Flow = {
  netnsCookie: bigint;
  source: IpAddress | null;
  destination: IpAddress | null;
  sourcePort: number;
  destinationPort: number;
};

/** What the kernel recorded of a captured connection: who opened it, what was dialled, what was chosen. */
export type Origin = {
  sourceId: number;
  destinationId: number;
  dialled: IpAddress | null;
  backend: IpAddress | null;
  dialledPort: number;
  backendPort: number;
  reason: number;
};

/** A live connection that no process of ours carries. */
export type LiveFlow = { flow: Flow; sourceId: number; destinationId: number; generation: number; inbound: number };

/** The maps of the node's data path; the value shapes are those of bpf/abi/weft.h. One writer: the agent. */
export type KernelMaps = {
  config: Table<
    number,
    {
      schema: number;
      generation: number;
      flags: number;
      outboundPort: number;
      plaintextPort: number;
      hbonePort: number;
      dnsPort: number;
      waypointPort: number;
    }
  >;
  workloads: Table<bigint, { id: number; flags: number; ip4: IpAddress | null; ip6: IpAddress | null }>;
  addresses: Table<IpAddress | null, { id: number; flags: number; waypointId: number }>;
  services: Table<
    { ip: IpAddress | null; port: number; protocol: number },
    { id: number; backendCount: number; waypointId: number; flags: number }
  >;
  backends: Table<{ serviceId: number; slot: number }, { ip: IpAddress | null; port: number }>;
  waypoints: Table<number, { ip4: IpAddress | null; ip6: IpAddress | null }>;
  verdicts: Table<{ sourceId: number; destinationId: number; port: number }, { generation: number; allow: number }>;
  captured: Table<Flow, Origin>;
  flows: Table<bigint, LiveFlow>;
  names: Table<number, { uid: string; identity: string }>;
};

/** One refusal, as the kernel reported it. */
export type KernelEvent = {
  sourceId: number;
  destinationId: number;
  source: IpAddress | null;
  destination: IpAddress | null;
  sourcePort: number;
  destinationPort: number;
  reason: number;
  hook: number;
};

/** What the agent asks of the kernel beyond maps. */
export type Kernel = {
  maps: KernelMaps;
  schema: number;
  /** True when the maps of a former agent were re-used. */
  adopted: boolean;
  attachNamespace(netnsPath: string, cookie: bigint): void;
  detachNamespace(cookie: bigint): void;
  counters(): Record<string, number>;
};

/** Something that listens until it is closed. */
export type Listening = { close(): void };

/** One client of a workload's DNS listener. */
export type DatagramHandler = (query: Buffer, peer: { ip: IpAddress; port: number }) => Promise<Buffer | null>;

/** An enrolled workload's network namespace: every socket made here belongs to it and is marked as the agent's. */
export type WorkloadNamespace = {
  cookie: bigint;
  /** Accepts on a port of every address; sockets are half-open capable and unread until used. */
  listen(port: number, onConnection: (socket: Socket) => void): Promise<Listening>;
  /** As listen, and hands arrivals that the kernel redirects for workload `id` to it. */
  listenPlaintext(port: number, id: number, onConnection: (socket: Socket) => void): Promise<Listening>;
  listenDatagrams(port: number, onQuery: DatagramHandler): Promise<Listening>;
  /** Connects from the workload's own address. Rejects with the socket error. */
  dial(ip: IpAddress, port: number, timeoutMs: number): Promise<Socket>;
  /** Connects to an app of the workload itself, which then sees `client` as its peer (B50). */
  dialApp(ip: IpAddress, port: number, client: { ip: IpAddress; port: number }, timeoutMs: number): Promise<Socket>;
  /** Aborts a kernel connection of this namespace; true when one was found. */
  destroyFlow(flow: Flow, inbound: boolean): boolean;
  close(): void;
};

/** Serves accepted sockets until it is closed. */
export type HboneServer = { handle(socket: Socket): void; drain(deadlineMs: number): Promise<void> | void; close(): void };

/** Bytes of both directions; error null when both ended in order. */
export type RelayResult = { bytesFromA: number; bytesFromB: number; error: Error | null };

/** Everything the agent does to the world. */
export type AgentEffects = {
  kernel: Kernel;
  openNamespace(netnsPath: string): WorkloadNamespace;
  /** Valid credentials of an identity, fetched when first needed. */
  credentials(identity: Identity): Promise<Credentials>;
  /** The last workload of an identity left this node (B59). */
  forgetCredentials(identity: Identity): void;
  createPool(dial: (ip: IpAddress, port: number) => Promise<Socket>): TunnelPool;
  createHboneServer(options: {
    credentials: () => Promise<Credentials>;
    trustDomain: string;
    onTunnel: (tunnel: InboundTunnel) => void;
  }): HboneServer;
  relay(a: Duplex, b: Duplex, signal: AbortSignal): Promise<RelayResult>;
  /** From a source that nobody can foresee. */
  randomBytes(count: number): Uint8Array;
  clock: Clock;
  random: Random;
  log: Log;
};
