import { connect, createServer, type Server, type Socket } from 'node:net';
import type { IpAddress } from '#model/address/ip.ts';
import type { Clock } from '#model/effects/clock.ts';
import { guard, type Mishaps } from '#model/effects/mishaps.ts';
import { TUNNEL } from '#model/settings/tunnels.ts';

/** Every address; of IPv4 alone where there is no IPv6. */
const WILDCARDS = ['::', '0.0.0.0'] as const;

/** Connects from this process's own network namespace. Rejects with the socket's error, ETIMEDOUT after `timeoutMs`. */
export function dialTcp(ip: IpAddress, port: number, timeoutMs: number, clock: Clock): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: ip, port, allowHalfOpen: true, noDelay: true });
    const cancel = clock.after(timeoutMs, () =>
      socket.destroy(Object.assign(new Error(`connect ETIMEDOUT ${ip}:${port}`), { code: 'ETIMEDOUT' })),
    );
    const settle = (finish: () => void): void => {
      cancel();
      // It may break before its user listens: that shows when he writes or reads, and must not be nobody's.
      socket.off('error', fail).on('error', () => {});
      finish();
    };
    const fail = (error: Error): void => settle(() => reject(error));
    socket.once('error', fail);
    socket.once('connect', () => settle(() => resolve(socket)));
  });
}

/**
 * Listens on a port of every address. Sockets come paused and half-open: nothing of them is read before it is known
 * who takes them; what `onConnection` throws costs that one. Rejects with the socket's error.
 */
export async function listenTcp(port: number, onConnection: (socket: Socket) => void, mishaps: Mishaps): Promise<Server> {
  let failure: unknown;
  const accept = (socket: Socket): void =>
    guard(
      mishaps,
      'accept',
      () => onConnection(socket),
      () => socket.destroy(),
    );
  for (const host of WILDCARDS) {
    const server = createServer({ allowHalfOpen: true, noDelay: true, pauseOnConnect: true }, accept);
    try {
      await new Promise<void>((resolve, reject) => {
        server.once('error', reject);
        server.listen({ port, host, backlog: TUNNEL.acceptBacklogMax }, resolve);
      });
      // Without a listener one connection that could not be accepted (no descriptor left) would end the process.
      server.on('error', (error) => mishaps.report('accept', error));
      return server;
    } catch (error) {
      failure = error;
    }
  }
  throw failure;
}
