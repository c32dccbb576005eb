import { closeSync } from 'node:fs';
import { Socket, type SocketConstructorOpts } from 'node:net';
import type { IpAddress } from '#model/address/ip.ts';
import { TUNNEL } from '#model/settings/tunnels.ts';

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
      socket.off('error', fail);
      socket.setKeepAlive(true, TUNNEL.tcpKeepAliveMs);
      resolve(socket);
    });
  });
}
