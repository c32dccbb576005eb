import { setTimeout as sleep } from 'node:timers/promises';
import type { Bookshop } from '#testbed/apps/bookshop.ts';
import { NEIGHBOUR_PORT } from '#testbed/apps/outsiders.ts';
import { ECHO_PORT, vip } from '#testbed/apps/shop.ts';
import { FAMILIES, type Family } from '#testbed/lab/app.ts';
import { ALPHA_FROM_OUTSIDE, OUTSIDE_4, OUTSIDE_6, OUTSIDE_ECHO_PORT } from '#testbed/nodes/plan.ts';
import { type Check, expect, expectEqual } from './check.ts';
import { expectEcho, expectKernelPair, withoutAgents } from './expectations.ts';

/** Far more than agents move on their own account, so that their share shows. */
const DIRECT_BYTES = 64 * 1024 * 1024;
const UNTOUCHED_BYTES = 16 * 1024 * 1024;
/** The first connection is evaluated by the agent; its verdict is in the kernel's cache right after. */
const CACHING_MS = 200;

/** On one node the kernel carries the bytes from app to app; both see the addresses they would see without a mesh. */
export const direct: Check = {
  name: 'direct',
  path: 'direct',
  timeoutMs: 30_000,
  async run(mesh) {
    const agentBytes = [];
    for (const family of FAMILIES) agentBytes.push(await checkFamily(mesh, family));
    return `64 MiB each way over IPv4 and IPv6 between the two apps' own sockets; the agents moved ${agentBytes.join(' and ')} bytes`;
  },
};

/** Returns how many bytes the agents moved meanwhile: next to none, or the path was not direct. */
async function checkFamily(mesh: Bookshop, family: Family): Promise<number> {
  const [client, server] = [mesh.app('shopper'), mesh.app('echo-near')];
  const shopper = mesh.probe('shopper');
  const dial = vip('echo-near', family);
  await expectEcho(shopper, client, family, dial);
  await sleep(CACHING_MS);
  const { result: call, agentBytes } = await withoutAgents(mesh, DIRECT_BYTES, () =>
    expectEcho(shopper, client, family, dial, { bulkBytes: DIRECT_BYTES, hold: true, timeoutMs: 15_000 }),
  );
  try {
    expectEqual(call.greeting.peerPort, call.local.port, 'the port that the server sees');
    await expectKernelPair(
      { app: client, ip: call.local.host, port: call.local.port },
      { app: server, ip: server.address[family], port: ECHO_PORT },
      DIRECT_BYTES,
    );
  } finally {
    await call.close();
  }
  return agentBytes;
}

/** What a workload sends to an address outside the mesh is the kernel's alone, as without a mesh. */
export const passthrough: Check = {
  name: 'passthrough',
  path: 'passthrough',
  timeoutMs: 20_000,
  async run(mesh) {
    const [client, server] = [mesh.app('shopper'), mesh.app('outside-echo')];
    for (const family of FAMILIES) {
      const host = family === 4 ? OUTSIDE_4 : OUTSIDE_6;
      const { result: call } = await withoutAgents(mesh, UNTOUCHED_BYTES, () =>
        expectEcho(
          mesh.probe('shopper'),
          client,
          family,
          { host, port: OUTSIDE_ECHO_PORT },
          { bulkBytes: UNTOUCHED_BYTES, hold: true, timeoutMs: 8_000 },
        ),
      );
      expectEqual(call.greeting.peerPort, call.local.port, 'the port that the outside server sees');
      const ends = [
        { app: client, ip: call.local.host, port: call.local.port },
        { app: server, ip: host, port: OUTSIDE_ECHO_PORT },
      ] as const;
      await expectKernelPair(...ends, UNTOUCHED_BYTES);
      await call.close();
    }
    return '16 MiB each way over IPv4 and IPv6 on one TCP connection from app to host, addresses and ports unchanged, none of it through the agents';
  },
};

/** A process of a node that is no workload never notices the mesh, even inside the cgroups that the agent watches. */
export const bystander: Check = {
  name: 'bystander',
  path: '-',
  timeoutMs: 20_000,
  async run(mesh) {
    for (const family of FAMILIES) {
      const outside = family === 4 ? OUTSIDE_4 : OUTSIDE_6;
      await untouched(mesh, 'bystander', 'outside-echo', { host: outside, port: OUTSIDE_ECHO_PORT });
      await untouched(mesh, 'outside', 'neighbour', { host: ALPHA_FROM_OUTSIDE[family], port: NEIGHBOUR_PORT });
      await noSuchService(mesh, family);
    }
    return 'calls from and to a process that is not enrolled keep their addresses and ports and touch no agent; service addresses mean nothing to it; IPv4 and IPv6';
  },
};

/** A call whose ends see one another as they are: addresses, ports, and one kernel connection between the two apps. */
async function untouched(
  mesh: Bookshop,
  clientName: string,
  serverName: string,
  dial: { host: string; port: number },
): Promise<void> {
  const [client, server] = [mesh.app(clientName), mesh.app(serverName)];
  const { result: call } = await withoutAgents(mesh, UNTOUCHED_BYTES, () =>
    mesh.probe(clientName).connect(dial, { bulkBytes: UNTOUCHED_BYTES, hold: true, timeoutMs: 8_000 }),
  );
  const { error, stage, local, remote, greeting } = call;
  expect(error === null && local !== null, `${clientName} to ${serverName}: ${String(error)} at ${stage}`);
  expectEqual(`${remote?.host} ${remote?.port}`, `${dial.host} ${dial.port}`, `what ${clientName} sees as its peer`);
  expectEqual(`${greeting?.peer} ${greeting?.peerPort}`, `${local.host} ${local.port}`, `what ${serverName} sees as its peer`);
  await expectKernelPair(
    { app: client, ip: local.host, port: local.port },
    { app: server, ip: dial.host, port: dial.port },
    UNTOUCHED_BYTES,
  );
  await call.close();
}

/** Nothing on this node routes to a service address; an answer would mean that the hook rewrote it. */
async function noSuchService(mesh: Bookshop, family: Family): Promise<void> {
  const { stage, error } = await mesh.probe('bystander').connect(vip('echo-near', family));
  expect(
    stage === 'connect' && error === 'ENETUNREACH',
    `dialling a service address ends with ${String(error)} at ${stage}, not ENETUNREACH by connect()`,
  );
}
