import type { App } from '#testbed/mesh/app.ts';
import { establishedSockets } from '#testbed/observe/sockets.ts';
import { expect } from './check.ts';

/**
 * Shows that one connection joins two apps and nobody between: the kernel has a socket of the client whose peer is
 * the server's address, a socket of the server whose peer is the client's, and counted `bytes` through both.
 */
export async function expectKernelPair(
  client: { app: App; ip: string; port: number },
  server: { app: App; ip: string; port: number },
  bytes: number,
): Promise<void> {
  const mine = (await establishedSockets(client.app.pid)).find(
    ({ localPort, pids }) => localPort === client.port && pids.includes(client.app.pid),
  );
  expect(mine !== undefined, `the kernel shows no connection of ${client.app.name} from port ${client.port}`);
  expect(
    mine.remote === server.ip && mine.remotePort === server.port,
    `the kernel's peer of ${client.app.name} is [${mine.remote}]:${mine.remotePort}, not ${server.app.name} at [${server.ip}]:${server.port}`,
  );
  const theirs = (await establishedSockets(server.app.pid)).find(
    ({ remote, remotePort, pids }) => remote === client.ip && remotePort === client.port && pids.includes(server.app.pid),
  );
  expect(theirs !== undefined, `the kernel shows no connection of ${server.app.name} with [${client.ip}]:${client.port}`);
  for (const [name, count] of [
    [client.app.name, mine.bytesAcked],
    [server.app.name, theirs.bytesReceived],
  ] as const) {
    expect(count >= bytes, `the kernel counts ${count} bytes on the socket of ${name}, not ${bytes}`);
  }
}
