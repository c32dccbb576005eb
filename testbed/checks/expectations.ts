import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Bookshop } from '#testbed/apps/bookshop.ts';
import type { Probe } from '#testbed/apps/probe-client.ts';
import type { ConnectAnswer, ConnectRequest, Dial } from '#testbed/apps/probe-protocol.ts';
import type { App, Family } from '#testbed/lab/app.ts';
import { agentStatus } from '#testbed/lab/parts.ts';
import { type NodeName, nodeOf } from '#testbed/nodes/plan.ts';
import { establishedSockets, ioBytes } from '#testbed/observers/kernel-accounts.ts';
import { expect, expectEqual } from './check.ts';

const POLL_MS = 50;

/** An answer of a call that worked: both ends are known. */
export type EchoCall = ConnectAnswer & { greeting: NonNullable<ConnectAnswer['greeting']>; local: Dial; close(): Promise<void> };

/**
 * Calls an echo service and checks what both ends saw: the client's getpeername shows what it dialled,
 * the server sees the client's own address.
 */
export async function expectEcho(
  probe: Probe,
  client: App,
  family: Family,
  dial: Dial,
  options: Partial<ConnectRequest> = {},
): Promise<EchoCall> {
  const { greeting, local, remote, ...answer } = await probe.connect(dial, options);
  const what = `${client.name} to [${dial.host}]:${dial.port}`;
  expect(answer.error === null && greeting !== null && local !== null, `${what}: ${String(answer.error)} at ${answer.stage}`);
  expectEqual(remote?.host, dial.host, `${what}: the client's getpeername`);
  expectEqual(remote?.port, dial.port, `${what}: the port of the client's getpeername`);
  expectEqual(greeting.peer, client.address[family], `${what}: the peer that the server sees`);
  return { ...answer, greeting, local, remote };
}

/** How a call that must not get through ended; fails the check if any byte of the server arrived. */
export async function expectNoEcho(probe: Probe, dial: Dial): Promise<ConnectAnswer> {
  const answer = await probe.connect(dial);
  expect(
    answer.error !== null && answer.greeting === null,
    `${probe.name} got through to [${dial.host}]:${dial.port}, which must not be`,
  );
  return answer;
}

/**
 * Calls until connect() itself is refused, and returns how many calls that took. Until a verdict is cached the agent
 * refuses by closing; in no call may a byte of the server come through.
 */
export async function expectRefused(probe: Probe, dial: Dial, timeoutMs: number): Promise<number> {
  const deadlineMs = performance.now() + timeoutMs;
  for (let calls = 1; ; calls++) {
    const { stage, error } = await expectNoEcho(probe, dial);
    if (stage === 'connect' && error === 'ECONNREFUSED') return calls;
    const how = `${String(error)} at ${stage}`;
    expect(
      performance.now() < deadlineMs,
      `${probe.name} to [${dial.host}]:${dial.port} ends with ${how}, not ECONNREFUSED by connect()`,
    );
    await sleep(POLL_MS);
  }
}

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

/** What an agent may read and write meanwhile on its own account: logs, heartbeats, a configuration push. */
const OWN_BYTES_MAX = 2 * 1024 * 1024;

/** The agent's process id, checked against the kernel: it must run `weft agent` for that node. */
export async function agentPid(mesh: Bookshop, node: NodeName): Promise<number> {
  const { pid } = await agentStatus(mesh.plan, node);
  const commandLine = (await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')).split('\0');
  expect(
    commandLine.includes('agent') && commandLine.includes(nodeOf(mesh.plan, node).meshName),
    `process ${pid} is not the agent of ${node}`,
  );
  return pid;
}

/**
 * Runs a transfer of `bytes` and checks by the kernel's accounts that the agents moved none of it.
 * Returns the result and how many bytes both agents moved meanwhile.
 */
export async function withoutAgents<Result>(
  mesh: Bookshop,
  bytes: number,
  transfer: () => Promise<Result>,
): Promise<{ result: Result; agentBytes: number }> {
  const pids = [await agentPid(mesh, 'alpha'), await agentPid(mesh, 'beta')];
  const moved = async (): Promise<number> => (await Promise.all(pids.map(ioBytes))).reduce((sum, one) => sum + one, 0);
  const before = await moved();
  const result = await transfer();
  const agentBytes = (await moved()) - before;
  expect(agentBytes < Math.min(OWN_BYTES_MAX, bytes / 4), `the agents moved ${agentBytes} bytes during a transfer of ${bytes}`);
  return { result, agentBytes };
}
