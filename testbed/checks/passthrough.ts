import { OUTSIDE_4, OUTSIDE_6, OUTSIDE_ECHO_PORT } from '#testbed/fabric/plan.ts';
import { FAMILIES } from '#testbed/mesh/shop.ts';
import { withoutAgents } from './agent-bytes.ts';
import type { Check } from './check.ts';
import { expectEqual } from './check.ts';
import { expectEcho } from './echo-calls.ts';
import { expectKernelPair } from './kernel-pair.ts';

const BULK_BYTES = 16 * 1024 * 1024;

/** What a workload sends to an address outside the mesh is the kernel's alone, as without a mesh. */
export const passthrough: Check = {
  name: 'passthrough',
  path: 'passthrough',
  timeoutMs: 20_000,
  async run(mesh) {
    const [client, server] = [mesh.app('shopper'), mesh.app('outside-echo')];
    for (const family of FAMILIES) {
      const host = family === 4 ? OUTSIDE_4 : OUTSIDE_6;
      const { result: call } = await withoutAgents(mesh, BULK_BYTES, () =>
        expectEcho(
          mesh.probe('shopper'),
          client,
          family,
          { host, port: OUTSIDE_ECHO_PORT },
          { bulkBytes: BULK_BYTES, hold: true, timeoutMs: 8_000 },
        ),
      );
      expectEqual(call.greeting.peerPort, call.local.port, 'the port that the outside server sees');
      const ends = [
        { app: client, ip: call.local.host, port: call.local.port },
        { app: server, ip: host, port: OUTSIDE_ECHO_PORT },
      ] as const;
      await expectKernelPair(...ends, BULK_BYTES);
      await call.close();
    }
    return '16 MiB each way over IPv4 and IPv6 on one TCP connection from app to host, addresses and ports unchanged, none of it through the agents';
  },
};
