import type { IpAddress } from '#model/address/ip.ts';
import type { NameClient } from '#model/dns/resolve-name.ts';
import type { ByteStream } from '#model/effects/byte-stream.ts';
import type { Clock, Random } from '#model/effects/clock.ts';
import type { Log } from '#model/effects/log.ts';
import type { Mishaps } from '#model/effects/mishaps.ts';
import type { Credentials, Identity } from '#model/identity/identity.ts';
import type { CounterName } from '#model/kernel/abi.ts';
import type { Flow, KernelMaps } from '#model/kernel/maps.ts';
import type { Publication } from '#model/launch/publication.ts';
import type { MeshState } from '#model/mesh/mesh-state.ts';
import type { ProcessShares } from '#model/share/process-shares.ts';
import type { RecordEnd } from '#model/telemetry/access-record.ts';
import type { Meters } from '#model/telemetry/meters.ts';
import type { PeerSeries } from '#model/telemetry/peer-series.ts';
import type { DnsNode } from '#node-agent/dns/effects.ts';
import type { DnsResponder } from '#node-agent/dns/responder.ts';
import type { ResolvedName } from '#node-agent/names/resolved-endpoints.ts';
import type { DataLink, ServedWorkload, ToControl } from '#node-agent/seam/messages.ts';
import type { HandedSocket } from '#protocol/api/agent.ts';

/** The host's end of a workload's link, and the MAC address that the workload's end was given. */
export type WorkloadLink = { device: string; mac: string };

/** What the agent asks of the kernel beyond maps. */
export type Kernel = {
  maps: KernelMaps;
  schema: number;
  /** True when the maps of a former agent were re-used. */
  adopted: boolean;
  /** The kernel's monotonic clock. */
  nowNs(): bigint;
  attachNamespace(netnsPath: string, netnsCookie: bigint): void;
  detachNamespace(netnsCookie: bigint): void;
  /** Puts the guard on the host's end of a workload's link; nothing passes it while the cookie is not enrolled. */
  guardLink(link: WorkloadLink, netnsCookie: bigint): void;
  /** Forgets the link of a namespace; its guard stays, closed, until the interface is gone. */
  releaseLink(netnsCookie: bigint): void;
  counters(): Record<string, number>;
  /** One of them, cheaply. */
  counter(name: CounterName): number;
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

/** What one that carries is given of a workload; `hboneFd` null: it takes tunnels itself. */
export type CarriedSockets = Pick<ServedWorkload, 'netnsFd' | 'outboundFd' | 'plaintextFd' | 'hboneFd' | 'published'>;

/** What is to listen for a workload, beside what does for each. */
export type WantedSockets = { takesTunnels: boolean; published: readonly Publication[] };

/** An enrolled workload's network namespace: every socket made here belongs to it and is marked as the agent's. */
export type WorkloadNamespace = {
  netnsCookie: bigint;
  /** Accepts on a port of every address; streams come unread. */
  listen(port: number, onConnection: (stream: ByteStream) => void): Listening;
  /**
   * Descriptors for those that carry the workload's connections, `copies` times, theirs to close: of the namespace, and of what
   * listens on the agent's ports of every address. Arrivals that the kernel redirects for workload `id` are handed to
   * `plaintextFd`. Errors: WEFT_PORT_TAKEN, of the namespace and of bind, after which nothing is left open.
   */
  openCarried(id: number, wanted: WantedSockets, copies: number): CarriedSockets[];
  listenDatagrams(port: number, onQuery: DatagramHandler): Promise<Listening>;
  /** What listens here, for another process: open for it until `letGo` or the close, whoever of this one stops accepting. */
  handOver(): HandedSocket[];
  /** Holds nothing of that any more: a port that this process kept would be taken for whoever comes after the next one. */
  letGo(): void;
  /** Aborts a kernel connection of this namespace; true when one was found. With a cookie no later one of the same ends. */
  destroyFlow(flow: Flow, inbound: boolean, socketCookie?: bigint): boolean;
  /** The TCP sockets of the namespace as they are now, whoever made them. */
  connections(): NamespaceConnections;
  close(): void;
};

/** Where reports of connections go, and the time that they take. */
export type ReportEffects = {
  readonly clock: Clock;
  readonly log: Log;
  readonly meters: Meters;
  readonly peers: PeerSeries;
};

/** What those that carry have of the agent. */
export type ControlSide = {
  readonly meters: Meters;
  readonly shares: ProcessShares;
  readonly trustDomain: string;
  receive(from: DataLink, message: ToControl): void;
};

/** One that carries. */
export type Carrier = DataLink & {
  /** Connections, those to workloads of this node among them, and connections between nodes, that it has now. */
  readonly calls: number;
  readonly carried: number;
  readonly tunnels: number;
};

/** Everything the agent does to the world. */
export type AgentEffects = {
  kernel: Kernel;
  openNamespace(netnsPath: string): WorkloadNamespace;
  /** Valid credentials of an identity, fetched when first needed. */
  credentials(identity: Identity): Promise<Credentials>;
  /** The last workload of an identity left this node (B59). */
  forgetCredentials(identity: Identity): void;
  /** Whether the kubelet of this node has opened a connection. */
  isOfKubelet(client: RecordEnd, target: RecordEnd): boolean;
  /** What the node's nameservers say of a name outside the mesh. Errors: of all of them being silent. */
  resolveName(name: string): Promise<ResolvedName>;
  /** Makes those that carry, at least one. `receive` hears what they ask; what they count is in `meters` and `shares`. */
  startCarriers(control: ControlSide): Carrier[];
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
  /** Datagrams to workloads of other nodes may go in clear. */
  datagramsClear: boolean;
  /** Only what its workloads need of the mesh is followed. */
  onDemand: boolean;
  /** Made over the agent's mesh; see src/node-agent/dns. */
  dns(mesh: MeshState, clientOf: (uid: string) => NameClient | null, node: DnsNode): DnsResponder;
};
