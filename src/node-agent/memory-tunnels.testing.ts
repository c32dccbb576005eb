import { parseIp } from '#model/address/ip.ts';
import type { ByteStream } from '#model/effects/byte-stream.ts';
import { type Credentials, formatIdentity, type Identity, sameIdentity } from '#model/identity/identity.ts';
import type { TunnelRequest, TunnelTarget } from '#model/path/reach.ts';
import type { ResponseFlag } from '#model/telemetry/close-cause.ts';
import type { TunnelOutcome, TunnelPool } from '#protocol/hbone/transport.ts';
import type { DataEffects, HboneServer } from './effects/data-effects.ts';
import { asStream, type MemorySocket, socketOf } from './memory-sockets.testing.ts';

/** What the client of a memory tunnel says first, and how it is answered. */
type Hello = {
  source: Identity;
  request: TunnelRequest;
  /** The identity that the server proves. */
  serverIs(identity: Identity): void;
  answered(status: number, baggage: string): void;
};

/** A tunnel that an agent asked for. */
export type OpenedTunnel = { target: TunnelTarget; request: TunnelRequest };

/**
 * HBONE without TLS and HTTP/2: one connection of a MemoryNet per tunnel, with the identities, the answer and the
 * failures that the real transport has. What is on the wire is tested in platform/hbone.
 */
export function memoryPool(
  dial: Parameters<DataEffects['createPool']>[0],
  credentials: DataEffects['credentials'],
  opened: OpenedTunnel[],
): TunnelPool {
  let closed = false;
  return {
    async open(target, request) {
      if (closed) return failed('CONNECT', 'the pool is closed');
      const own = await credentials(target.source).catch((error: Error) => error);
      if (own instanceof Error) return failed('IDENTITY_ERROR', own.message);
      opened.push({ target, request });
      const dialled = await dial(target.address, target.port);
      if (dialled.kind !== 'open') return failed('CONNECT', `cannot connect: ${'code' in dialled ? dialled.code : 'ETIMEDOUT'}`);
      return converse(socketOf(dialled.stream), own, target, request);
    },
    size: () => 0,
    close() {
      closed = true;
    },
  };
}

function converse(socket: MemorySocket, own: Credentials, target: TunnelTarget, request: TunnelRequest): Promise<TunnelOutcome> {
  return new Promise((resolve) => {
    let peer: Identity | null = null;
    const hello: Hello = {
      source: own.identity,
      request,
      serverIs(identity) {
        peer = identity;
        if (target.peers.some((one) => sameIdentity(one, identity))) return;
        resolve(failed('TLS_FAILURE', `the server is ${formatIdentity(identity)}`));
        socket.destroy();
      },
      answered(status, baggage) {
        if (peer === null || status !== 200) resolve({ kind: 'refused', status });
        else resolve({ kind: 'open', stream: asStream(socket), peer, baggage });
      },
    };
    socket.other.greeting = hello;
    socket.on('error', (error) => resolve(failed('CONNECT', error.message)));
  });
}

/** The other side of memoryPool, at an agent; `closed` gets the servers that were closed. */
export function memoryHboneServer(options: Parameters<DataEffects['createHboneServer']>[0], closed: () => void): HboneServer {
  return {
    handle(accepted: ByteStream) {
      const socket = socketOf(accepted);
      const hello = socket.greeting as Hello | null;
      if (hello === null) {
        options.onRefused('handshake-failed'); // not one of ours
        return void socket.resetAndDestroy();
      }
      options.credentials().then(
        ({ identity }) => {
          hello.serverIs(identity);
          if (socket.destroyed) return;
          if (hello.source.trustDomain !== options.trustDomain) return void socket.resetAndDestroy();
          serve(socket, hello, options.onTunnel);
        },
        () => socket.resetAndDestroy(),
      );
    },
    drain() {},
    close: closed,
  };
}

function serve(socket: MemorySocket, hello: Hello, onTunnel: Parameters<DataEffects['createHboneServer']>[0]['onTunnel']): void {
  const { request } = hello;
  const host = request.serviceHost === null ? '' : `;host=${request.serviceHost}`;
  void onTunnel({
    authority: request.authority,
    peer: hello.source,
    remoteAddress: parseIp(socket.remoteAddress),
    remotePort: socket.remotePort,
    localAddress: parseIp(socket.localAddress),
    baggage: request.baggage,
    forwarded: `for="${request.client}"${host}`,
    traceparent: request.traceparent,
    accept(baggage) {
      hello.answered(200, baggage);
      return asStream(socket);
    },
    refuse(status) {
      hello.answered(status, '');
      socket.end();
    },
  });
}

function failed(flag: ResponseFlag, message: string): TunnelOutcome {
  return { kind: 'failed', flag, error: new Error(message) };
}
