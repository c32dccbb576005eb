import { createSocket } from 'node:dgram';
import { closeSync, openSync } from 'node:fs';
import { familyOf, formatAddress, type IpAddress } from '#model/address/ip.ts';
import type { ByteStream, Dialled, Endpoint } from '#model/effects/byte-stream.ts';
import type { Mishaps } from '#model/effects/mishaps.ts';
import { WeftError } from '#model/error.ts';
import type { Flow } from '#model/kernel/maps.ts';
import type { DatapathMaps } from '#platform/bpf/pins.ts';
import type { Io, Listener } from '#platform/io/io.ts';
import { answerDatagrams } from './answer-datagrams.ts';
import { destroySocket } from './destroy-socket.ts';
import { listConnections, type NamespaceConnections } from './list-connections.ts';
import { namespaceCookie } from './namespace.ts';
import { type Place, requireExclusive, tcpListenerIn, tcpSocketIn, udpSocketIn, unboundTcpSocketIn } from './sockets.ts';

type Tuple = Pick<Flow, 'source' | 'destination' | 'sourcePort' | 'destinationPort'>;

/** The maps that sockets made inside a workload's namespace need. */
export type NamespaceMaps = Pick<DatapathMaps, 'ownSockets' | 'listeners' | 'peers'>;

/** Something that listens until it is closed. */
export type Listening = { close(): void };

/**
 * Makes sockets inside one workload's network namespace and marks each by file descriptor, so that the
 * workload's own hooks leave them alone (E22) and no app can pretend to be the agent.
 */
export class WorkloadNamespace {
  readonly netnsCookie: bigint;
  /** -1: closed. */
  #fd: number;
  /** Dials to apps whose client is written down, by their own end. */
  readonly #presented = new Map<string, { forget(): void }>();
  readonly #maps: NamespaceMaps;
  readonly #io: Io;
  readonly #mishaps: Mishaps;

  /** Errors: WEFT_NETNS when the namespace cannot be opened. */
  constructor(netnsPath: string, maps: NamespaceMaps, { io, mishaps }: { io: Io; mishaps: Mishaps }) {
    try {
      this.#fd = openSync(netnsPath, 'r');
    } catch (cause) {
      throw new WeftError('WEFT_NETNS', `cannot open network namespace ${netnsPath}`, {
        cause,
        remedy: 'the workload may have ended',
      });
    }
    this.netnsCookie = namespaceCookie(this.#fd);
    this.#maps = maps;
    this.#io = io;
    this.#mishaps = mishaps;
  }

  listen(port: number, onConnection: (stream: ByteStream) => void): Listening {
    return this.#listen(port, onConnection);
  }

  listenPlaintext(port: number, id: number, onConnection: (stream: ByteStream) => void): Listening {
    const listener = this.#listen(port, onConnection);
    this.#maps.listeners.set(id, BigInt(listener.fd)); // only a listening socket may enter the map
    return listener;
  }

  async listenDatagrams(port: number, onQuery: (query: Buffer, peer: Endpoint) => Promise<Buffer | null>): Promise<Listening> {
    const { fd } = udpSocketIn(this.#place, port);
    const socket = createSocket('udp6');
    await new Promise<void>((resolve, reject) => {
      socket.once('error', reject);
      socket.bind({ fd }, resolve);
    });
    requireExclusive(fd); // libuv shares the address of every datagram socket that it takes over
    return { close: answerDatagrams(socket, { answer: onQuery, dropped: (error) => this.#mishaps.report('datagram', error) }) };
  }

  async dial(ip: IpAddress, port: number, deadlineMs: number): Promise<Dialled> {
    const fd = unboundTcpSocketIn(this.#openFd, familyOf(ip));
    this.#mark(fd);
    return this.#io.connect(fd, { ip, port }, deadlineMs);
  }

  async dialApp(ip: IpAddress, port: number, client: Endpoint, deadlineMs: number): Promise<Dialled> {
    const bound = tcpSocketIn(this.#place, ip);
    const key = { netnsCookie: this.netnsCookie, ip: bound.ip, port: bound.port };
    const end = formatAddress(bound.ip, bound.port);
    const mine = { forget: () => this.#maps.peers.delete(key) };
    // The kernel moves the entry to the accepted socket. It does not where none comes to be (a client that resets before a
    // listener that defers accepts): the entry ends with the dial then, unless the port has another by now.
    const forget = (): void => {
      if (this.#presented.get(end) !== mine) return;
      this.#presented.delete(end);
      mine.forget();
    };
    this.#maps.peers.set(key, client); // before the connect
    this.#presented.set(end, mine);
    const dialled = await this.#io.connect(bound.fd, { ip, port }, deadlineMs);
    if (dialled.kind === 'open') dialled.stream.onOver(forget);
    else forget();
    return dialled;
  }

  destroyFlow(flow: Tuple, inbound: boolean, socketCookie?: bigint): boolean {
    const { source, destination, sourcePort, destinationPort } = flow;
    if (source === null || destination === null) return false;
    return destroySocket(
      this.#openFd,
      inbound
        ? { local: destination, localPort: destinationPort, remote: source, remotePort: sourcePort }
        : { local: source, localPort: sourcePort, remote: destination, remotePort: destinationPort },
      socketCookie,
    );
  }

  connections(): NamespaceConnections {
    return listConnections(this.#fd);
  }

  close(): void {
    for (const { forget } of this.#presented.values()) forget();
    this.#presented.clear();
    closeSync(this.#openFd);
    this.#fd = -1;
  }

  /** The number of a closed handle may by now be another workload's namespace, in which no socket must be made. */
  get #openFd(): number {
    if (this.#fd >= 0) return this.#fd;
    throw new WeftError('WEFT_NETNS', 'the network namespace was let go', { remedy: 'the workload has ended' });
  }

  get #place(): Place {
    return { netnsFd: this.#openFd, mark: (fd) => this.#mark(fd) };
  }

  #mark(fd: number): void {
    this.#maps.ownSockets.set(fd, 1);
  }

  #listen(port: number, onConnection: (stream: ByteStream) => void): Listener {
    return this.#io.listen(tcpListenerIn(this.#place, port).fd, onConnection);
  }
}
