import { type IpAddress, parseIp, splitHostPort } from '#model/address/ip.ts';
import type { NameClient } from '#model/dns/resolve-name.ts';
import type { Log } from '#model/effects/log.ts';
import { createMishaps, type Mishaps } from '#model/effects/mishaps.ts';
import { type Credentials, formatIdentity, type Identity, parseIdentity } from '#model/identity/identity.ts';
import { REASON, TAKEN } from '#model/kernel/abi.ts';
import { type Authorization, EMPTY_MATCH, type Match, policyKeyOf } from '#model/mesh/authorization.ts';
import type { MeshDelta } from '#model/mesh/mesh-state.ts';
import { PORT } from '#model/mesh/ports.ts';
import { type Service, serviceKeyOf } from '#model/mesh/service.ts';
import type { Workload } from '#model/mesh/workload.ts';
import { DNS } from '#model/settings/dns.ts';
import { SteppedClock } from '#platform/stepped-clock.testing.ts';
import { Agent } from './agent.ts';
import { carryHere } from './data-plane.ts';
import type { DnsNode } from './dns/effects.ts';
import { createDnsResponder } from './dns/responder.ts';
import type { AgentEffects, Kernel } from './effects/agent-effects.ts';
import type { DataEffects } from './effects/data-effects.ts';
import type { Enrolled, EnrollmentRequest } from './enrollment/enrollment.ts';
import { memoryKernel } from './kernel/memory-kernel.testing.ts';
import { deliver, MemoryNet } from './memory-net.testing.ts';
import { type MemorySocket, settle } from './memory-sockets.testing.ts';
import { memoryHboneServer, memoryPool, type OpenedTunnel } from './memory-tunnels.testing.ts';
import type { ToData } from './seam/messages.ts';

/** One line of an agent's log. */
export type LogLine = Record<string, unknown> & { level: string; message: string };

/** What a peer answered a CONNECT; status null: it was reset before. */
export type TunnelAnswer = { socket: MemorySocket; status: number | null; baggage: string };

/** The client that sends a CONNECT straight to an agent. */
export type TunnelClient = { authority: string; peer?: string; from?: string; client?: string };

/**
 * An agent without root: kernel maps, namespaces, wires and tunnels in memory, stepped time, foreseeable chance.
 * The hooks of the kernel are played by `dial` and `plaintext`.
 */
export type AgentRig = {
  agent: Agent;
  net: MemoryNet;
  kernel: Kernel;
  clock: SteppedClock;
  lines: LogLine[];
  /** Tunnels that this agent asked for. */
  tunnels: OpenedTunnel[];
  /** Identities, as `namespace/account`, whose certificate cannot be had now. */
  withoutCertificate: Set<string>;
  /** What the agent did beside the maps, in order: `attach`, `detach`, `forget`, `close server`. */
  acts: string[];
  /** Takes a workload in; its namespace is made when it is not there. */
  enroll(workload: Workload, change?: Partial<EnrollmentRequest>): Promise<Enrolled>;
  /** What the control plane says; the first call is the whole mesh unless `complete` is false. */
  tell(change: MeshChange, complete?: boolean): void;
  /** As the connect hook: an app of `from` dials, and the kernel hands the connection to the agent. */
  dial(from: Workload, dialled: string, options?: DialOptions): MemorySocket;
  /** As the arrival hook: plain text from `client` to a port of a workload. */
  plaintext(to: Workload, port: number, client?: string): MemorySocket;
  /** A CONNECT of a peer. */
  tunnel(to: Workload, client: TunnelClient): Promise<TunnelAnswer>;
  /** What those that carry were told, in order. */
  told: ToData[];
  /** Ends of connections that the kubelet has opened. */
  kubelet: Set<string>;
  /** How many of the places for connections a workload holds. */
  held(workload: Workload): number;
  /** What the agent took for mistakes of its own. */
  mishaps: Mishaps;
  /** The access line of the connection that ended last. */
  access(): LogLine;
  /** A new agent over the maps that this one leaves. */
  restart(): AgentRig;
};

/** New values; null: gone. */
export type MeshChange = {
  workloads?: Workload[];
  gone?: Workload[];
  services?: Service[];
  policies?: Authorization[];
  gonePolicies?: string[];
};

/** `backend`: what the kernel drew for a VIP. `captured` false: the app dialled the agent's port by itself. */
export type DialOptions = { backend?: string; captured?: boolean; reason?: number };

/** Which world the agent lives in. */
export type RigOptions = {
  node?: string;
  net?: MemoryNet;
  clock?: SteppedClock;
  kernel?: Kernel;
  random?: () => number;
  /** What the agent is told of its own descriptors. */
  descriptorsMax?: number;
  /** What carries is apart from what knows, as in a thread of its own: all that passes between them is copied, and comes later. */
  isApart?: boolean;
  /** It follows only what its workloads need. */
  onDemand?: boolean;
  /** Real tunnels instead of memory ones. */
  transport?: Partial<Pick<DataEffects, 'createPool' | 'createHboneServer' | 'credentials'>>;
};

/** An agent with nothing enrolled, that knows no mesh yet. */
export function startAgentRig(options: RigOptions = {}): AgentRig {
  const clock = options.clock ?? new SteppedClock();
  const net = options.net ?? new MemoryNet(clock);
  const lines: LogLine[] = [];
  const tunnels: OpenedTunnel[] = [];
  const acts: string[] = [];
  const withoutCertificate = new Set<string>();
  const kernel: Kernel = {
    ...(options.kernel ?? memoryKernel()),
    attachNamespace: (path) => void acts.push(`attach ${path}`),
    detachNamespace: () => void acts.push('detach'),
  };
  const mishaps = createMishaps(collectingLog(lines), clock);
  const kubelet = new Set<string>();
  const world: World = {
    clock,
    net,
    kubelet,
    lines,
    tunnels,
    acts,
    withoutCertificate,
    kernel,
    mishaps,
    held: () => 0,
    told: [],
  };
  const agent = new Agent(effectsOf(world, options.random ?? (() => 0), options), {
    node: options.node ?? 'one',
    trustDomain: 'cluster.local',
    descriptorsMax: options.descriptorsMax ?? 20_000,
    datagramsClear: false,
    onDemand: options.onDemand ?? false,
    dns: (mesh, clientOf, node) => dnsResponder(world, mesh, clientOf, node),
  });
  return rigOf(agent, world, options);
}

type World = Pick<
  AgentRig,
  'clock' | 'net' | 'kubelet' | 'lines' | 'tunnels' | 'acts' | 'withoutCertificate' | 'kernel' | 'mishaps' | 'held' | 'told'
>;

function rigOf(agent: Agent, world: World, options: RigOptions): AgentRig {
  const { net, lines, kernel, clock } = world;
  return {
    ...world,
    agent,
    enroll(workload, change = {}) {
      const request = { ...requestOf(workload), ...change };
      if (!net.has(request.netnsPath)) net.add(request.netnsPath, request.addresses);
      return agent.enroll(request);
    },
    tell(change, complete = true) {
      // In the order in which the discovery client does it: changes, then the news that they were all.
      agent.applyMesh(deltaOf(change), agent.synced);
      if (complete && !agent.synced) agent.applyMesh(deltaOf({}), true);
    },
    dial: (from, dialled, how = {}) => capture(kernel, net, from, dialled, how),
    plaintext(to, port, client = '10.9.9.9:5000') {
      const listener = net.at(netnsOf(to)).listeners.get(PORT.plaintext)?.at(-1);
      if (listener === undefined) throw new Error(`nobody serves plain text of ${to.name}`);
      return deliver(parseEndpoint(client), { ip: firstAddress(to), port }, listener.accept);
    },
    tunnel: (to, client) => connectTo(net, to, client),
    access() {
      const line = lines.findLast(({ message }) => message === 'connection complete');
      if (line === undefined) throw new Error('no connection has ended');
      return line;
    },
    restart() {
      agent.stop();
      return startAgentRig({ ...options, net, clock, kernel: { ...kernel, adopted: true } });
    },
  };
}

function effectsOf(world: World, random: () => number, { transport, isApart = false }: RigOptions): AgentEffects {
  const { kernel, net, clock, acts, tunnels } = world;
  const credentials = async (identity: Identity): Promise<Credentials> => {
    if (world.withoutCertificate.has(`${identity.namespace}/${identity.serviceAccount}`)) throw new Error('no certificate');
    return credentialsOf(identity);
  };
  const numbers = new Map<string, number>();
  const common = { clock, random, log: collectingLog(world.lines), mishaps: world.mishaps };
  return {
    kernel,
    openNamespace: (path) => net.open(path),
    credentials,
    resolveName: () => Promise.reject(new Error('no nameserver in this test')),
    isOfKubelet: ({ ip, port }) => world.kubelet.has(`${ip}:${port}`),
    forgetCredentials: (identity) => void acts.push(`forget ${formatIdentity(identity)}`),
    startCarriers(control) {
      const pass = <Message>(message: Message, receive: (message: Message) => void): void => {
        if (isApart) setImmediate(receive, structuredClone(message));
        else receive(message);
      };
      const carrier = carryHere(
        {
          maps: kernel.maps,
          openNamespace: (netnsFd) => net.openCarried(netnsFd),
          credentials,
          createPool: (dial) => memoryPool(dial, credentials, tunnels),
          createHboneServer: (server) => memoryHboneServer(server, () => void acts.push('close server')),
          randomBytes: (count) => new Uint8Array(count).fill(7),
          meters: control.meters,
          shares: control.shares,
          threads: 1,
          ...common,
          ...transport,
        },
        { ...control, receive: (from, message) => pass(message, (copy) => control.receive(from, copy)) },
      );
      world.held = ({ uid }) => control.shares.heldBy(numbers.get(uid) ?? 0);
      const { send } = carrier;
      carrier.send = (message) => {
        world.told.push(message);
        if (message.kind === 'begin') numbers.set(message.served.uid, message.served.share);
        pass(message, send);
      };
      return [carrier];
    },
    ...common,
  };
}

function dnsResponder(world: World, mesh: Agent['mesh'], clientOf: (uid: string) => NameClient | null, node: DnsNode) {
  return createDnsResponder({
    ...node,
    view: () => mesh,
    clientOf,
    forward: async () => {
      throw new Error('no nameserver in this test');
    },
    names: { clusterDomain: 'cluster.local', searchDomains: null, preferredNamespace: null, ipv6: true },
    random: () => 0.5,
    clock: world.clock,
    log: collectingLog(world.lines),
    mishaps: world.mishaps,
    limits: DNS,
  });
}

/** What bpf/lib/connect.h and flow.h do: note the origin, then send the SYN to the agent's port of the same namespace. */
function capture(kernel: Kernel, net: MemoryNet, from: Workload, dialled: string, how: DialOptions): MemorySocket {
  const namespace = net.at(netnsOf(from));
  const target = parseEndpoint(dialled);
  const own = from.addresses.find((ip) => ip.includes(':') === target.ip.includes(':')) ?? firstAddress(from);
  const client = { ip: own, port: net.newPort() };
  const agentPort = { ip: own, port: PORT.outbound };
  const backend = how.backend === undefined ? null : parseEndpoint(how.backend);
  if (how.captured ?? true) {
    kernel.maps.captured.set(
      {
        netnsCookie: namespace.netnsCookie,
        source: client.ip,
        destination: agentPort.ip,
        sourcePort: client.port,
        destinationPort: agentPort.port,
      },
      {
        sourceId: kernel.maps.workloads.get(namespace.netnsCookie)?.id ?? 0,
        destinationId: 0,
        dialled: target.ip,
        backend: backend?.ip ?? target.ip,
        dialledPort: target.port,
        backendPort: backend?.port ?? target.port,
        reason: how.reason ?? REASON.evaluate,
        taken: TAKEN.not,
        generation: 0,
      },
    );
  }
  const listener = namespace.listeners.get(PORT.outbound)?.at(-1);
  if (listener === undefined) throw new Error('ECONNREFUSED: no agent listens');
  return deliver(client, agentPort, listener.accept);
}

async function connectTo(net: MemoryNet, to: Workload, client: TunnelClient): Promise<TunnelAnswer> {
  const listener = net.at(netnsOf(to)).listeners.get(PORT.hbone)?.at(-1);
  if (listener === undefined) throw new Error('ECONNREFUSED: nobody listens on the HBONE port');
  const from = parseEndpoint(client.from ?? '10.0.9.1:41000');
  const socket = deliver(from, { ip: firstAddress(to), port: PORT.hbone }, listener.accept);
  const answer: TunnelAnswer = { socket, status: null, baggage: '' };
  socket.on('error', () => {});
  socket.other.greeting = {
    source: parseIdentity(client.peer ?? 'spiffe://cluster.local/ns/shop/sa/client'),
    request: {
      authority: client.authority,
      client: client.client ?? client.from ?? '10.0.9.1:41000',
      serviceHost: null,
      baggage: '',
      traceparent: '',
    },
    serverIs() {},
    answered(status: number, baggage: string) {
      Object.assign(answer, { status, baggage });
    },
  };
  await settle();
  return answer;
}

/** A certificate as far as memory tunnels look at it. */
export function credentialsOf(identity: Identity): Credentials {
  return { identity, privateKeyPem: '', chainPem: '', rootsPem: [], notBeforeMs: 0, notAfterMs: Number.MAX_SAFE_INTEGER };
}

/** How a workload is enrolled by whoever starts it. */
export function requestOf({ uid, name, namespace, serviceAccount, addresses, nativeTunnel }: Workload): EnrollmentRequest {
  return {
    uid,
    name,
    namespace,
    serviceAccount,
    labels: {},
    addresses: [...addresses],
    nativeTunnel,
    netnsPath: `/netns/${name}`,
    link: null,
  };
}

/** Where the namespace of a workload is. */
export function netnsOf(workload: Workload): string {
  return `/netns/${workload.name}`;
}

/** A policy `p` of the namespace shop. */
export function aPolicy(action: 'allow' | 'deny', match: Partial<Match>, change: Partial<Authorization> = {}): Authorization {
  const rules = [{ clauses: [{ matches: [{ ...EMPTY_MATCH, ...match }] }] }];
  return { name: 'p', namespace: 'shop', scope: 'namespace', action, dryRun: false, rules, ...change };
}

/** A match of one workload's identity. */
export function principal(name: string): Partial<Match> {
  return { principals: [{ kind: 'exact', value: `cluster.local/ns/shop/sa/${name}` }] };
}

function deltaOf({ workloads = [], gone = [], services = [], policies = [], gonePolicies = [] }: MeshChange): MeshDelta {
  return {
    workloads: new Map([...workloads.map((one) => [one.uid, one] as const), ...gone.map(({ uid }) => [uid, null] as const)]),
    services: new Map(services.map((one) => [serviceKeyOf(one), one])),
    policies: new Map([
      ...policies.map((one) => [policyKeyOf(one), one] as const),
      ...gonePolicies.map((key) => [key, null] as const),
    ]),
  };
}

function parseEndpoint(text: string): { ip: IpAddress; port: number } {
  const split = splitHostPort(text);
  if (split === null) throw new Error(`"${text}" is not an address with a port`);
  return { ip: parseIp(split.host), port: split.port };
}

function firstAddress({ addresses: [ip] }: Workload): IpAddress {
  if (ip === undefined) throw new Error('a workload without an address');
  return ip;
}

/** A log that a test reads. */
export function collectingLog(lines: LogLine[]): Log {
  // As the real log: a field without a value is not written.
  const known = (fields: object): object => Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
  const note = (level: string) => (fields: object, message: string) => void lines.push({ ...known(fields), level, message });
  const log: Log = { debug: note('debug'), info: note('info'), warn: note('warn'), error: note('error'), child: () => log };
  return log;
}
