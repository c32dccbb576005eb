import { ALPHA_FROM_OUTSIDE, OUTSIDE_4, OUTSIDE_6, OUTSIDE_ECHO_PORT } from '#testbed/fabric/plan.ts';
import type { DemoMesh } from '#testbed/mesh/demo-mesh.ts';
import { NEIGHBOUR_PORT } from '#testbed/mesh/outsiders.ts';
import type { Family } from '#testbed/mesh/shop.ts';
import { FAMILIES, vip } from '#testbed/mesh/shop.ts';
import { withoutAgents } from './agent-bytes.ts';
import type { Check } from './check.ts';
import { expect, expectEqual } from './check.ts';
import { expectKernelPair } from './kernel-pair.ts';

const BULK_BYTES = 16 * 1024 * 1024;

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

async function untouched(
  mesh: DemoMesh,
  clientName: string,
  serverName: string,
  dial: { host: string; port: number },
): Promise<void> {
  const [client, server] = [mesh.app(clientName), mesh.app(serverName)];
  const { result: call } = await withoutAgents(mesh, BULK_BYTES, () =>
    mesh.probe(clientName).connect(dial, { bulkBytes: BULK_BYTES, hold: true, timeoutMs: 8_000 }),
  );
  const { error, stage, local, remote, greeting } = call;
  expect(error === null && local !== null, `${clientName} to ${serverName}: ${String(error)} at ${stage}`);
  expectEqual(`${remote?.host} ${remote?.port}`, `${dial.host} ${dial.port}`, `what ${clientName} sees as its peer`);
  expectEqual(`${greeting?.peer} ${greeting?.peerPort}`, `${local.host} ${local.port}`, `what ${serverName} sees as its peer`);
  await expectKernelPair(
    { app: client, ip: local.host, port: local.port },
    { app: server, ip: dial.host, port: dial.port },
    BULK_BYTES,
  );
  await call.close();
}

/** Nothing on this node routes to a service address; an answer would mean that the hook rewrote it. */
async function noSuchService(mesh: DemoMesh, family: Family): Promise<void> {
  const { stage, error } = await mesh.probe('bystander').connect(vip('echo-near', family));
  expect(
    stage === 'connect' && error === 'ENETUNREACH',
    `dialling a service address ends with ${String(error)} at ${stage}, not ENETUNREACH by connect()`,
  );
}
