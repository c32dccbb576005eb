import type { Bookshop } from '#testbed/apps/bookshop.ts';
import type { ConnectAnswer } from '#testbed/apps/probe-protocol.ts';
import { ECHO_PORT, SHOP_HTTP_PORT, vip } from '#testbed/apps/shop.ts';
import { FAMILIES, type Family } from '#testbed/lab/app.ts';
import { OUTSIDE_4, OUTSIDE_6 } from '#testbed/nodes/plan.ts';
import { waitUntil } from '#testbed/processes/wait.ts';
import { type Check, expect, expectEqual, expectLogLine, logEnd } from './check.ts';
import { expectEcho, expectNoEcho, expectRefused } from './expectations.ts';
import { allowAnyIdentity, strictMutualTls, withConfig } from './policies.ts';

const CACHED_WITHIN_MS = 2_000;

/** A denied service account gets ECONNREFUSED from connect(), and the log says which rule of which policy did it. */
export const denied: Check = {
  name: 'denied',
  path: 'denied',
  timeoutMs: 20_000,
  async run(mesh) {
    const stranger = mesh.probe('stranger');
    const { logPath } = mesh.agent('alpha');
    const logFrom = await logEnd(logPath);
    let calls = 0;
    for (const family of FAMILIES) {
      calls += await expectRefused(stranger, vip('echo-near', family), CACHED_WITHIN_MS);
      await expectEcho(mesh.probe('shopper'), mesh.app('shopper'), family, vip('echo-near', family));
    }
    expect(calls === FAMILIES.length, `refused only after ${calls} calls: the verdict was not there before the first connection`);
    const far = await expectNoEcho(stranger, vip('echo-far', 4));
    await expectLogLine(logPath, logFrom, [/no-strangers/, /rule/i, /stranger/]);
    return `ECONNREFUSED over IPv4 and IPv6 at the first call, ${String(far.error)} at ${far.stage} from the other node; the log names bookshop/no-strangers and its rule`;
  },
};

const EFFECT_WITHIN_MS = 3_000;

/** A client without the mesh gets in where PERMISSIVE says so, not where STRICT does, and never counts as a principal. */
export const plaintext: Check = {
  name: 'plaintext',
  path: 'plaintext',
  timeoutMs: 40_000,
  async run(mesh) {
    const dir = mesh.configDir;
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
async function letsIn(mesh: Bookshop, family: Family): Promise<void> {
  const answer = await waitUntil(`connection from outside over IPv${family}`, EFFECT_WITHIN_MS, async () => {
    const answer = await dialFromOutside(mesh, family);
    return answer.error === null ? answer : null;
  });
  expectEqual(answer.greeting?.peer, family === 4 ? OUTSIDE_4 : OUTSIDE_6, 'the peer that the server sees');
}

/** Waits until the outside host is kept out, then checks that it stays so and that workloads still get in. */
async function keepsOut(mesh: Bookshop): Promise<void> {
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

/** By the workload's own address: services mean nothing outside the mesh. */
function dialFromOutside(mesh: Bookshop, family: Family): Promise<ConnectAnswer> {
  return mesh.probe('outside').connect({ host: mesh.app('echo-near').address[family], port: ECHO_PORT });
}
