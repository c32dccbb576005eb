import { rmSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { splitHostPort } from '#model/address/ip.ts';
import { listenForRoot } from '#platform/local-api/serve-socket.ts';

/**
 * Passes connections on a unix socket to a TCP port of this machine, bytes unchanged; returns how to end that.
 * Waypoints have network namespaces of their own, where only a path reaches the control plane.
 * Errors: WEFT_SOCKET_PATH.
 */
export async function relayToControl(path: string, address: string): Promise<() => void> {
  const target = splitHostPort(address);
  if (target === null) throw new Error(`"${address}" is no address`);
  const host = localHost(target.host);
  const open = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true }, (near) => {
    const far = connect({ host, port: target.port, allowHalfOpen: true });
    joinPair(near, far);
    for (const socket of [near, far]) {
      open.add(socket);
      socket.on('close', () => open.delete(socket));
    }
  });
  rmSync(path, { force: true });
  await listenForRoot(server, path);
  server.on('error', () => {}); // one that could not be accepted (no descriptor left) has its own error
  return () => {
    server.close();
    for (const socket of open) socket.destroy();
  };
}

/** Each passes on what the other says; an end is passed on alone, a broken side takes the other with it. */
function joinPair(near: Socket, far: Socket): void {
  for (const [from, to] of [
    [near, far],
    [far, near],
  ] as const) {
    from.on('error', () => to.destroy()); // it is of these two alone
    from.on('close', () => from.readableEnded || to.destroy());
    from.pipe(to);
  }
}

/** A listener on every address is dialled on loopback. */
function localHost(host: string): string {
  if (host === '0.0.0.0') return '127.0.0.1';
  return host === '::' ? '::1' : host;
}
