import { createSocket } from 'node:dgram';
import { closeSync, openSync } from 'node:fs';
import type { ByteStream, Endpoint } from '#model/effects/byte-stream.ts';
import type { Mishaps } from '#model/effects/mishaps.ts';
import { WeftError } from '#model/error.ts';
import type { Flow } from '#model/kernel/maps.ts';
import type { Publication } from '#model/launch/publication.ts';
import { PORT } from '#model/mesh/ports.ts';
import type { DatapathMaps } from '#platform/bpf/pins.ts';
import type { Io } from '#platform/io/io.ts';
import type { HandedSocket } from '#protocol/api/agent.ts';
import { answerDatagrams } from './answer-datagrams.ts';
import { destroySocket } from './destroy-socket.ts';
import { type HandedSockets, socketCookie } from './handed-sockets.ts';
import { listConnections, type NamespaceConnections } from './list-connections.ts';
import { namespaceCookie } from './namespace.ts';
import {
  boundSilence,
  duplicate,
  type Place,
  publishedListening,
  requireExclusive,
  tcpListeningIn,
  udpSocketIn,
} from './sockets.ts';

type Tuple = Pick<Flow, 'source' | 'destination' | 'sourcePort' | 'destinationPort'>;

/** What a namespace works with, beside maps. */
export type NamespaceEffects = { io: Io; mishaps: Mishaps; former: HandedSockets };

/** The maps that sockets made inside a workload's namespace need. */
export type NamespaceMaps = Pick<DatapathMaps, 'ownSockets' | 'listeners'>;

/** Descriptors for one of those that carry a workload's connections; `hboneFd` null: the workload takes tunnels itself. */
export type CarriedSockets = {
  netnsFd: number;
  outboundFd: number;
  plaintextFd: number;
  hboneFd: number | null;
  published: { fd: number; port: number }[];
};

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
  readonly #maps: NamespaceMaps;
  readonly #io: Io;
  readonly #mishaps: Mishaps;
  readonly #former: HandedSockets;
  /** What listens here, by its descriptors: whoever accepts on one owns it. */
  readonly #listening: Omit<HandedSocket, 'netnsCookie'>[] = [];
  /** Copies of those, which keep them open for another process. */
  readonly #kept: number[] = [];

  /** `former`: sockets that another process handed over. Errors: WEFT_NETNS when the namespace cannot be opened. */
  constructor(netnsPath: string, maps: NamespaceMaps, { io, mishaps, former }: NamespaceEffects) {
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
    this.#former = former;
  }

  listen(port: number, onConnection: (stream: ByteStream) => void): Listening {
    return this.#io.listen(this.#tcpListening(port), onConnection);
  }

  openCarried(
    id: number,
    { takesTunnels, published: wanted }: { takesTunnels: boolean; published: readonly Publication[] },
    copies: number,
  ): CarriedSockets[] {
    const open: number[] = [];
    const own = (fd: number): number => {
      open.push(fd);
      return fd;
    };
    try {
      const outbound = own(this.#tcpListening(PORT.outbound));
      const plaintext = own(this.#tcpListening(PORT.plaintext));
      // Only a listening socket may enter the map. One that a former agent entered is there, and is not entered twice.
      if (this.#maps.listeners.get(id) !== socketCookie(plaintext)) this.#maps.listeners.set(id, BigInt(plaintext));
      const hbone = takesTunnels ? own(this.#tcpListening(PORT.hbone)) : null;
      if (hbone !== null) boundSilence(hbone);
      const published = wanted.map((one, at) => ({ fd: own(this.#published(one, at)), port: one.port }));
      return Array.from({ length: copies }, (_, at) => {
        const copyOf = (fd: number): number => (at === 0 ? fd : own(duplicate(fd)));
        return {
          netnsFd: own(duplicate(this.#openFd)),
          outboundFd: copyOf(outbound),
          plaintextFd: copyOf(plaintext),
          hboneFd: hbone === null ? null : copyOf(hbone),
          published: published.map(({ fd, port }) => ({ fd: copyOf(fd), port })),
        };
      });
    } catch (error) {
      for (const fd of open) closeSync(fd);
      throw error;
    }
  }

  async listenDatagrams(port: number, onQuery: (query: Buffer, peer: Endpoint) => Promise<Buffer | null>): Promise<Listening> {
    const fd = this.#former.take(this.#which('udp', port)) ?? udpSocketIn(this.#place, port).fd;
    this.#listening.push({ transport: 'udp', port, fd });
    const socket = createSocket('udp6');
    await new Promise<void>((resolve, reject) => {
      socket.once('error', reject);
      socket.bind({ fd }, resolve);
    });
    requireExclusive(fd); // libuv shares the address of every datagram socket that it takes over
    return { close: answerDatagrams(socket, { answer: onQuery, dropped: (error) => this.#mishaps.report('datagram', error) }) };
  }

  handOver(): HandedSocket[] {
    return this.#listening.map(({ transport, port, fd }) => {
      const kept = duplicate(fd);
      this.#kept.push(kept);
      return { ...this.#which(transport, port), fd: kept };
    });
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

  letGo(): void {
    for (const fd of this.#kept.splice(0)) closeSync(fd);
  }

  close(): void {
    this.letGo();
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

  #which<Transport extends HandedSocket['transport']>(transport: Transport, port: number) {
    return { netnsCookie: String(this.netnsCookie), transport, port };
  }

  /** One that another process handed over is marked again, since the maps may be others than its. */
  #tcpListening(port: number): number {
    const former = this.#former.take(this.#which('tcp', port));
    if (former !== null) this.#mark(former);
    const fd = former ?? tcpListeningIn(this.#place, port);
    this.#listening.push({ transport: 'tcp', port, fd });
    return fd;
  }

  /** On the machine itself, for the workload. */
  #published(publication: Publication, at: number): number {
    const fd = this.#former.take(this.#which('published', at)) ?? publishedListening(publication);
    this.#listening.push({ transport: 'published', port: at, fd });
    return fd;
  }

  #mark(fd: number): void {
    this.#maps.ownSockets.set(fd, 1);
  }
}
