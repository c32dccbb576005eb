import { formatAddress, type IpAddress, parseIp } from '#model/address/ip.ts';
import type { Dialled } from '#model/effects/byte-stream.ts';
import type { Clock } from '#model/effects/clock.ts';
import { WeftError } from '#model/error.ts';
import type { Flow } from '#model/kernel/maps.ts';
import { PORT } from '#model/mesh/ports.ts';
import type { DatagramHandler, Listening, OpenConnection, WorkloadNamespace } from './effects/agent-effects.ts';
import type { DataNamespace } from './effects/data-effects.ts';
import { asStream, type Endpoint, type MemorySocket, memoryConnection } from './memory-sockets.testing.ts';

/** What a program does with an accepted connection. */
export type App = (socket: MemorySocket) => void;

/** A program that sends back what it receives. */
export const ECHO: App = (socket) => {
  socket.on('error', () => {});
  socket.pipe(socket);
};

type Listener = { accept: (socket: MemorySocket) => void; plaintextId: number | null };

/** The network namespace of one workload, as the kernel has it: it is there whether or not an agent serves it. */
export type MemoryNamespace = {
  path: string;
  netnsCookie: bigint;
  addresses: IpAddress[];
  /** Sockets of an agent, newest last: SO_REUSEPORT lets a successor bind beside its predecessor. */
  listeners: Map<number, Listener[]>;
  datagrams: Map<number, DatagramHandler>;
  /** Programs of the workload, by port. */
  apps: Map<number, App>;
  /** Ports that a program of the workload holds, so that no agent can bind them. */
  taken: Set<number>;
  /** Connections that are there whether or not an agent knows of them. */
  open: OpenConnection[];
  /** Called when an agent has reached an app. */
  appDialled: () => void;
  /** Handles that an agent holds now. */
  handles: number;
};

type OpenFile =
  | { readonly kind: 'namespace'; readonly namespace: MemoryNamespace }
  | { readonly kind: 'listener'; begin(app: App): Listening };

/** A dial of an agent, in the order they were made. */
export type Dial = { from: string; to: string; as: string | null; timeoutMs: number };

/** Namespaces and hosts of all nodes of a test, and the wires between them. */
export class MemoryNet {
  readonly dials: Dial[] = [];
  /** Connections that agents had the kernel abort. */
  readonly destroyed: { flow: Flow; inbound: boolean }[] = [];
  /** Sockets that are gone, whose ends another one has by now. */
  readonly replaced = new Set<bigint>();
  /** Source ports of connections that the kernel cannot abort. */
  readonly undestroyable = new Set<number>();
  /** Servers that are in no namespace, by `ip:port`. */
  readonly hosts = new Map<string, App>();
  /** Addresses that answer nothing at all. */
  /** Addresses on which no app listens, though it does on its others. */
  readonly deaf = new Set<string>();
  readonly silent = new Set<string>();
  readonly #namespaces = new Map<string, MemoryNamespace>();
  readonly #clock: Clock;
  readonly #files = new Map<number, OpenFile>();
  #fds = 0;
  #cookies = 100n;
  #ports = 40_000;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Makes a namespace, or a new one at the path of an old one. */
  add(path: string, addresses: readonly string[]): MemoryNamespace {
    const namespace: MemoryNamespace = {
      path,
      netnsCookie: ++this.#cookies,
      addresses: addresses.map(parseIp),
      listeners: new Map(),
      datagrams: new Map(),
      apps: new Map(),
      taken: new Set(),
      open: [],
      appDialled: () => {},
      handles: 0,
    };
    this.#namespaces.set(path, namespace);
    return namespace;
  }

  has(path: string): boolean {
    return this.#namespaces.has(path);
  }

  /** Errors as the real one: WEFT_NETNS. */
  at(path: string): MemoryNamespace {
    const namespace = this.#namespaces.get(path);
    if (namespace === undefined) throw new WeftError('WEFT_NETNS', `cannot open network namespace ${path}`);
    return namespace;
  }

  /** What an agent gets when it opens a namespace. */
  open(path: string): WorkloadNamespace {
    const namespace = this.at(path);
    namespace.handles++;
    let kept = 0;
    const letGo = (): void => {
      namespace.handles -= kept;
      kept = 0;
    };
    return {
      netnsCookie: namespace.netnsCookie,
      listen: (port, accept) => listen(namespace, port, { accept: (socket) => accept(asStream(socket)), plaintextId: null }),
      openCarried: (id, { takesTunnels }, copies) => {
        if (copies !== 1) throw new Error('one carrier in these tests');
        const opened: Listening[] = [];
        try {
          const [outboundFd, plaintextFd, hboneFd = null] = [
            PORT.outbound,
            PORT.plaintext,
            ...(takesTunnels ? [PORT.hbone] : []),
          ].map((port) => this.#openListener(namespace, port, port === PORT.plaintext ? id : null, opened));
          if (outboundFd === undefined || plaintextFd === undefined) throw new Error('unreachable');
          const netnsFd = ++this.#fds;
          namespace.handles++;
          this.#files.set(netnsFd, { kind: 'namespace', namespace });
          return [{ netnsFd, outboundFd, plaintextFd, hboneFd, published: [] }];
        } catch (error) {
          for (const one of opened) one.close();
          throw error;
        }
      },
      listenDatagrams: async (port, onQuery) => {
        namespace.datagrams.set(port, onQuery);
        return { close: () => void namespace.datagrams.delete(port) };
      },
      handOver: () => {
        const handed = { netnsCookie: String(namespace.netnsCookie), fd: -1 };
        const tcp = [...namespace.listeners.keys()].map((port) => ({ ...handed, transport: 'tcp' as const, port }));
        const udp = [...namespace.datagrams.keys()].map((port) => ({ ...handed, transport: 'udp' as const, port }));
        kept += tcp.length + udp.length;
        namespace.handles += tcp.length + udp.length;
        return [...tcp, ...udp];
      },
      letGo,
      destroyFlow: (flow, inbound, socketCookie) => {
        if (socketCookie !== undefined && this.replaced.has(socketCookie)) return false;
        if (this.undestroyable.has(flow.sourcePort)) throw new WeftError('WEFT_SOCK_DESTROY', 'cannot close a live connection');
        return this.destroyed.push({ flow, inbound }) > 0;
      },
      connections: () => ({ listening: new Set(namespace.apps.keys()), open: namespace.open }),
      close: () => {
        letGo();
        namespace.handles--;
      },
    };
  }

  /** What one that carries makes of the descriptors that it was given. */
  openCarried(netnsFd: number): DataNamespace {
    const file = this.#files.get(netnsFd);
    if (file?.kind !== 'namespace') throw new Error(`descriptor ${netnsFd} is no namespace`);
    const { namespace } = file;
    const { path } = namespace;
    return {
      accept: (fd, accept) => {
        const listener = this.#files.get(fd);
        if (listener?.kind !== 'listener') throw new Error(`descriptor ${fd} does not listen`);
        return listener.begin((socket) => accept(asStream(socket)));
      },
      dial: (ip, port, timeoutMs) => this.dial(path, { ip, port }, timeoutMs),
      dialPeer: (ip, port, timeoutMs) => this.dial(path, { ip, port }, timeoutMs),
      dialApp: async (ip, port, client, timeoutMs) => {
        this.dials.push({ from: path, to: formatAddress(ip, port), as: formatAddress(client.ip, client.port), timeoutMs });
        const app = namespace.apps.get(port);
        if (app === undefined || this.deaf.has(ip)) return { kind: 'refused', code: 'ECONNREFUSED' };
        const stream = asStream(deliver(client, { ip, port }, app));
        namespace.appDialled();
        return { kind: 'open', stream };
      },
      close: () => {
        if (this.#files.delete(netnsFd)) namespace.handles--;
      },
    };
  }

  /** Connects from a namespace. */
  dial(path: string, to: Endpoint, timeoutMs: number): Promise<Dialled> {
    this.dials.push({ from: path, to: formatAddress(to.ip, to.port), as: null, timeoutMs });
    const source = this.at(path).addresses[0] ?? parseIp('127.0.0.1');
    return this.#connect({ ip: source, port: this.newPort() }, to, timeoutMs);
  }

  /** Connections wait for whoever comes to accept. */
  #openListener(namespace: MemoryNamespace, port: number, plaintextId: number | null, opened: Listening[]): number {
    let take: App | null = null;
    const waiting: MemorySocket[] = [];
    const accept: App = (socket) => (take === null ? void waiting.push(socket) : take(socket));
    const listening = listen(namespace, port, { accept, plaintextId });
    opened.push(listening);
    const fd = ++this.#fds;
    const begin = (app: App): Listening => {
      take = app;
      for (const socket of waiting.splice(0)) app(socket);
      return listening;
    };
    this.#files.set(fd, { kind: 'listener', begin });
    return fd;
  }

  /** A port that no connection of this test has had. */
  newPort(): number {
    return ++this.#ports;
  }

  async #connect(from: Endpoint, to: Endpoint, timeoutMs: number): Promise<Dialled> {
    const text = formatAddress(to.ip, to.port);
    if (this.silent.has(to.ip)) {
      await new Promise<void>((resolve) => this.#clock.after(timeoutMs, resolve));
      return { kind: 'deadline' };
    }
    const accept = this.hosts.get(text) ?? this.#listenerAt(to);
    if (accept === null) return { kind: 'refused', code: 'ECONNREFUSED' };
    return { kind: 'open', stream: asStream(deliver(from, to, accept)) };
  }

  #listenerAt({ ip, port }: Endpoint): App | null {
    for (const namespace of this.#namespaces.values()) {
      if (!namespace.addresses.includes(ip)) continue;
      return namespace.listeners.get(port)?.at(-1)?.accept ?? namespace.apps.get(port) ?? null;
    }
    return null;
  }
}

/** The client's end of a connection whose other end is accepted a turn later. */
export function deliver(client: Endpoint, server: Endpoint, accept: App): MemorySocket {
  const connection = memoryConnection(client, server);
  setImmediate(() => accept(connection.server));
  return connection.client;
}

function listen(namespace: MemoryNamespace, port: number, listener: Listener): Listening {
  if (namespace.taken.has(port)) throw new WeftError('WEFT_SOCKET', `cannot bind [::]:${port}: EADDRINUSE`);
  const listeners = namespace.listeners.get(port) ?? [];
  namespace.listeners.set(port, [...listeners, listener]);
  return {
    close() {
      const left = (namespace.listeners.get(port) ?? []).filter((one) => one !== listener);
      if (left.length === 0) namespace.listeners.delete(port);
      else namespace.listeners.set(port, left);
    },
  };
}
