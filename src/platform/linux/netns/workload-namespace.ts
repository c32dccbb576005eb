import { createSocket } from 'node:dgram';
import { closeSync, openSync } from 'node:fs';
import { createServer, type Server, Socket, type SocketConstructorOpts } from 'node:net';
import { familyOf, formatAddress, type IpAddress } from '#model/address/ip.ts';
import { guard, type Mishaps } from '#model/effects/mishaps.ts';
import { WeftError } from '#model/error.ts';
import type { Flow } from '#model/kernel/maps.ts';
import { TUNNEL } from '#model/settings/tunnels.ts';
import type { DatapathMaps } from '#platform/bpf/pins.ts';
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
type Address = { ip: IpAddress; port: number };

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
  readonly #mishaps: Mishaps;

  /** Errors: WEFT_NETNS when the namespace cannot be opened. */
  constructor(netnsPath: string, maps: NamespaceMaps, mishaps: Mishaps) {
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
    this.#mishaps = mishaps;
  }

  async listen(port: number, onConnection: (socket: Socket) => void): Promise<Listening> {
    const { server } = await this.#listen(port, onConnection);
    return { close: () => server.close() };
  }

  async listenPlaintext(port: number, id: number, onConnection: (socket: Socket) => void): Promise<Listening> {
    const { server, fd } = await this.#listen(port, onConnection);
    this.#maps.listeners.set(id, BigInt(fd)); // only a listening socket may enter the map
    return { close: () => server.close() };
  }

  async listenDatagrams(port: number, onQuery: (query: Buffer, peer: Address) => Promise<Buffer | null>): Promise<Listening> {
    const { fd } = udpSocketIn(this.#place, port);
    const socket = createSocket('udp6');
    await new Promise<void>((resolve, reject) => {
      socket.once('error', reject);
      socket.bind({ fd }, resolve);
    });
    requireExclusive(fd); // libuv shares the address of every datagram socket that it takes over
    return { close: answerDatagrams(socket, { answer: onQuery, dropped: (error) => this.#mishaps.report('datagram', error) }) };
  }

  async dial(ip: IpAddress, port: number, timeoutMs: number): Promise<Socket> {
    const fd = unboundTcpSocketIn(this.#openFd, familyOf(ip));
    this.#mark(fd);
    return connectFd(fd, ip, port, timeoutMs);
  }

  async dialApp(ip: IpAddress, port: number, client: Address, timeoutMs: number): Promise<Socket> {
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
    try {
      return (await connectFd(bound.fd, ip, port, timeoutMs)).once('close', forget);
    } catch (error) {
      forget();
      throw error;
    }
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

  async #listen(port: number, onConnection: (socket: Socket) => void): Promise<{ server: Server; fd: number }> {
    const { fd } = tcpListenerIn(this.#place, port);
    const accept = (socket: Socket): void =>
      guard(
        this.#mishaps,
        'accept',
        () => onConnection(socket),
        () => socket.destroy(),
      );
    const server = createServer({ allowHalfOpen: true, noDelay: true, pauseOnConnect: true }, accept);
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen({ fd, backlog: TUNNEL.acceptBacklogMax }, resolve);
    });
    // Without a listener one connection that could not be accepted (no descriptor left) would end the agent.
    server.on('error', (error) => this.#mishaps.report('accept', error));
    return { server, fd };
  }
}

/**
 * Connects a socket that was made elsewhere (in a namespace, marked, bound) and hands it to Node.
 * Rejects with the socket error, or ETIMEDOUT after `timeoutMs`. Owns the fd from here on.
 */
export function connectFd(fd: number, ip: IpAddress, port: number, timeoutMs: number): Promise<Socket> {
  // manualStart keeps the constructor from reading a socket that is not connected yet; it is not in the typings.
  const options: SocketConstructorOpts & { manualStart: boolean } = { fd, allowHalfOpen: true, manualStart: true };
  let socket: Socket;
  try {
    socket = new Socket(options);
  } catch (error) {
    closeSync(fd);
    return Promise.reject(error);
  }
  socket.setNoDelay(true);
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      socket.destroy(Object.assign(new Error(`connect ETIMEDOUT ${ip}:${port}`), { code: 'ETIMEDOUT' }));
    }, timeoutMs);
    const fail = (error: Error): void => {
      clearTimeout(timer);
      reject(error);
    };
    socket.once('error', fail);
    socket.connect({ host: ip, port }, () => {
      clearTimeout(timer);
      // It may break before its user listens: that shows when he writes or reads, and must not be nobody's.
      socket.off('error', fail).on('error', () => {});
      socket.setKeepAlive(true, TUNNEL.tcpKeepAliveMs);
      resolve(socket);
    });
  });
}
