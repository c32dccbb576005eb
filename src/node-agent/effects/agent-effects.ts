import type { IpAddress } from '#model/address/ip.ts';
import type { ByteStream, Dialled } from '#model/effects/byte-stream.ts';
import type { Clock, Random } from '#model/effects/clock.ts';
import type { Log } from '#model/effects/log.ts';
import type { Mishaps } from '#model/effects/mishaps.ts';
import type { Doorkeeper } from '#model/guard/doorkeeper.ts';
import type { Credentials, Identity } from '#model/identity/identity.ts';
import type { Flow, KernelMaps } from '#model/kernel/maps.ts';
import type { MeshState } from '#model/mesh/mesh-state.ts';
import type { CloseCause } from '#model/telemetry/close-cause.ts';
import type { Meters } from '#model/telemetry/meters.ts';
import type { PeerSeries } from '#model/telemetry/peer-series.ts';
import type { DnsNode } from '#node-agent/dns/effects.ts';
import type { DnsResponder } from '#node-agent/dns/responder.ts';
import type { InboundTunnel, TunnelPool } from '#protocol/hbone/transport.ts';

/** The host's end of a workload's link, and the MAC address that the workload's end was given. */
export type WorkloadLink = { device: string; mac: string };

/** What the agent asks of the kernel beyond maps. */
export type Kernel = {
  maps: KernelMaps;
  schema: number;
  /** True when the maps of a former agent were re-used. */
  adopted: boolean;
  attachNamespace(netnsPath: string, netnsCookie: bigint): void;
  detachNamespace(netnsCookie: bigint): void;
  /** Puts the guard on the host's end of a workload's link; nothing passes it while the cookie is not enrolled. */
  guardLink(link: WorkloadLink, netnsCookie: bigint): void;
  /** Forgets the link of a namespace; its guard stays, closed, until the interface is gone. */
  releaseLink(netnsCookie: bigint): void;
  counters(): Record<string, number>;
};

/** A TCP connection of a namespace, from the side of the socket that is in it. */
export type OpenConnection = {
  /** The kernel's number of the socket, never used again. */
  socketCookie: bigint;
  local: IpAddress;
  localPort: number;
  remote: IpAddress;
  remotePort: number;
};

/** The TCP sockets of a namespace: ports that somebody listens on, and connections from their first SYN to their last FIN. */
export type NamespaceConnections = { listening: ReadonlySet<number>; open: readonly OpenConnection[] };

/** Something that listens until it is closed. */
export type Listening = { close(): void };

/** One client of a workload's DNS listener. */
export type DatagramHandler = (query: Buffer, peer: { ip: IpAddress; port: number }) => Promise<Buffer | null>;

/** An enrolled workload's network namespace: every socket made here belongs to it and is marked as the agent's. */
export type WorkloadNamespace = {
  netnsCookie: bigint;
  /** Accepts on a port of every address; streams come unread. */
  listen(port: number, onConnection: (stream: ByteStream) => void): Listening;
  /** As listen, and hands arrivals that the kernel redirects for workload `id` to it. */
  listenPlaintext(port: number, id: number, onConnection: (stream: ByteStream) => void): Listening;
  listenDatagrams(port: number, onQuery: DatagramHandler): Promise<Listening>;
  /** Connects from the workload's own address. Rejects when no socket can be had. */
  dial(ip: IpAddress, port: number, deadlineMs: number): Promise<Dialled>;
  /** Connects to an app of the workload itself, which then sees `client` as its peer (B50). */
  dialApp(ip: IpAddress, port: number, client: { ip: IpAddress; port: number }, deadlineMs: number): Promise<Dialled>;
  /** Aborts a kernel connection of this namespace; true when one was found. With a cookie no later one of the same ends. */
  destroyFlow(flow: Flow, inbound: boolean, socketCookie?: bigint): boolean;
  /** The TCP sockets of the namespace as they are now, whoever made them. */
  connections(): NamespaceConnections;
  close(): void;
};

/** Serves accepted streams until it is closed. */
export type HboneServer = { handle(stream: ByteStream): void; drain(deadlineMs: number): Promise<void> | void; close(): void };

/** Where reports of connections go, and the time that they take. */
export type ReportEffects = {
  readonly clock: Clock;
  readonly log: Log;
  readonly meters: Meters;
  readonly peers: PeerSeries;
};

/** Everything the agent does to the world. */
export type AgentEffects = {
  kernel: Kernel;
  openNamespace(netnsPath: string): WorkloadNamespace;
  /** Valid credentials of an identity, fetched when first needed. */
  credentials(identity: Identity): Promise<Credentials>;
  /** The last workload of an identity left this node (B59). */
  forgetCredentials(identity: Identity): void;
  createPool(dial: (ip: IpAddress, port: number) => Promise<Dialled>): TunnelPool;
  createHboneServer(options: {
    credentials: () => Promise<Credentials>;
    trustDomain: string;
    /** What it rejects with is told, and the tunnel refused. */
    onTunnel: (tunnel: InboundTunnel) => void | Promise<void>;
    /** A place for a connection of a proven peer; null: there is none, and that is told. Without it there always is. */
    place?(): (() => void) | null;
    /** A connection that never came to carry tunnels; it is in the log already. */
    onRefused: (cause: CloseCause) => void;
    door: Doorkeeper;
  }): HboneServer;
  /** From a source that nobody can foresee. */
  randomBytes(count: number): Uint8Array;
  clock: Clock;
  random: Random;
  log: Log;
  /** Hears of mistakes that one connection, query or message brought to light. */
  mishaps: Mishaps;
};

/** What an agent is told. */
export type AgentOptions = {
  node: string;
  trustDomain: string;
  /** How many descriptors this process may open. */
  descriptorsMax: number;
  /** Made over the agent's mesh; see src/node-agent/dns. */
  dns(mesh: MeshState, namespaceOf: (uid: string) => string | null, node: DnsNode): DnsResponder;
};
