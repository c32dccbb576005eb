import { connect, createServer, type Server, type Socket } from 'node:net';
import type { IpAddress } from '#model/address/ip.ts';
import type { Clock } from '#model/effects/clock.ts';
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
      socket.off('error', fail);
      finish();
    };
    const fail = (error: Error): void => settle(() => reject(error));
    socket.once('error', fail);
    socket.once('connect', () => settle(() => resolve(socket)));
  });
}

/**
 * Listens on a port of every address. Sockets come paused and half-open: nothing of them is read before it is known
 * who takes them. Rejects with the socket's error.
 */
export async function listenTcp(port: number, onConnection: (socket: Socket) => void): Promise<Server> {
  let failure: unknown;
  for (const host of WILDCARDS) {
    const server = createServer({ allowHalfOpen: true, noDelay: true, pauseOnConnect: true }, onConnection);
    try {
      await new Promise<void>((resolve, reject) => {
        server.once('error', reject);
        server.listen({ port, host, backlog: TUNNEL.acceptBacklogMax }, resolve);
      });
      return server;
    } catch (error) {
      failure = error;
    }
  }
  throw failure;
}
