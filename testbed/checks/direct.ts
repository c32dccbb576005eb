import { setTimeout as sleep } from 'node:timers/promises';
import type { DemoMesh } from '#testbed/mesh/demo-mesh.ts';
import type { Family } from '#testbed/mesh/shop.ts';
import { ECHO_PORT, FAMILIES, vip } from '#testbed/mesh/shop.ts';
import { withoutAgents } from './agent-bytes.ts';
import type { Check } from './check.ts';
import { expectEqual } from './check.ts';
import { expectEcho } from './echo-calls.ts';
import { expectKernelPair } from './kernel-pair.ts';

const BULK_BYTES = 64 * 1024 * 1024;
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

async function checkFamily(mesh: DemoMesh, family: Family): Promise<number> {
  const [client, server] = [mesh.app('shopper'), mesh.app('echo-near')];
  const shopper = mesh.probe('shopper');
  const dial = vip('echo-near', family);
  await expectEcho(shopper, client, family, dial);
  await sleep(CACHING_MS);
  const { result: call, agentBytes } = await withoutAgents(mesh, BULK_BYTES, () =>
    expectEcho(shopper, client, family, dial, { bulkBytes: BULK_BYTES, hold: true, timeoutMs: 15_000 }),
  );
  try {
    expectEqual(call.greeting.peerPort, call.local.port, 'the port that the server sees');
    await expectKernelPair(
      { app: client, ip: call.local.host, port: call.local.port },
      { app: server, ip: server.address[family], port: ECHO_PORT },
      BULK_BYTES,
    );
  } finally {
    await call.close();
  }
  return agentBytes;
}
