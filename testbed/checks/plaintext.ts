import { OUTSIDE_4, OUTSIDE_6 } from '#testbed/fabric/plan.ts';
import { withConfig } from '#testbed/mesh/config-files.ts';
import type { DemoMesh } from '#testbed/mesh/demo-mesh.ts';
import type { Family } from '#testbed/mesh/shop.ts';
import { ECHO_PORT, FAMILIES, SHOP_HTTP_PORT, vip } from '#testbed/mesh/shop.ts';
import type { ConnectAnswer } from '#testbed/probe/protocol.ts';
import { waitUntil } from '#testbed/wait.ts';
import type { Check } from './check.ts';
import { expectEqual } from './check.ts';
import { expectEcho, expectNoEcho } from './echo-calls.ts';
import { allowAnyIdentity, strictMutualTls } from './policies.ts';

const EFFECT_WITHIN_MS = 3_000;

/** A client without the mesh gets in where PERMISSIVE says so, not where STRICT does, and never counts as a principal. */
export const plaintext: Check = {
  name: 'plaintext',
  path: 'plaintext',
  timeoutMs: 40_000,
  async run(mesh) {
    const dir = mesh.paths.configDir;
    for (const family of FAMILIES) await letsIn(mesh, family);
    // The shop's own STRICT policy, in force from the start.
    const ratings = { host: mesh.app('ratings').address[4], port: SHOP_HTTP_PORT };
    const strict = await expectNoEcho(mesh.probe('outside'), ratings);
    await withConfig(dir, '90-check-strict.yaml', strictMutualTls('check-strict'), () => keepsOut(mesh));
    for (const family of FAMILIES) await letsIn(mesh, family);
    await withConfig(dir, '90-check-identity.yaml', allowAnyIdentity('check-identity'), () => keepsOut(mesh));
    for (const family of FAMILIES) await letsIn(mesh, family);
    return `PERMISSIVE lets the outside host in with its own address, STRICT refuses it (${String(strict.error)}), so does ALLOW for principals ["*"]; IPv4 and IPv6, mesh clients unaffected`;
  },
};

/** Waits until the outside host gets in, then checks that the server sees its address. */
async function letsIn(mesh: DemoMesh, family: Family): Promise<void> {
  const answer = await waitUntil(`connection from outside over IPv${family}`, EFFECT_WITHIN_MS, async () => {
    const answer = await dialFromOutside(mesh, family);
    return answer.error === null ? answer : null;
  });
  expectEqual(answer.greeting?.peer, family === 4 ? OUTSIDE_4 : OUTSIDE_6, 'the peer that the server sees');
}

/** Waits until the outside host is kept out, then checks that it stays so and that workloads still get in. */
async function keepsOut(mesh: DemoMesh): Promise<void> {
  for (const family of FAMILIES) {
    await waitUntil(
      `refusal of the outside host over IPv${family}`,
      EFFECT_WITHIN_MS,
      async () => (await dialFromOutside(mesh, family)).error !== null,
    );
    await expectNoEcho(mesh.probe('outside'), { host: mesh.app('echo-near').address[family], port: ECHO_PORT });
    await expectEcho(mesh.probe('shopper'), mesh.app('shopper'), family, vip('echo-near', family));
    await expectEcho(mesh.probe('clerk'), mesh.app('clerk'), family, vip('echo-near', family));
  }
}

function dialFromOutside(mesh: DemoMesh, family: Family): Promise<ConnectAnswer> {
  return mesh.probe('outside').connect({ host: mesh.app('echo-near').address[family], port: ECHO_PORT });
}
