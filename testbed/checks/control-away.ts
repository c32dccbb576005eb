import { join } from 'node:path';
import type { Bookshop } from '#testbed/apps/bookshop.ts';
import { ECHO_PORT, echoWorkload, vip } from '#testbed/apps/shop.ts';
import { FAMILIES } from '#testbed/lab/app.ts';
import { agentStatus } from '#testbed/lab/parts.ts';
import { wireOf } from '#testbed/nodes/plan.ts';
import { captured } from '#testbed/observers/capture.ts';
import { reportWire } from '#testbed/observers/wire-report.ts';
import { waitUntil } from '#testbed/processes/wait.ts';
import { type Check, expect } from './check.ts';
import { expectEcho, expectRefused } from './expectations.ts';
import { denyServiceAccount, withConfig } from './policies.ts';

const KNOWN_WITHIN_MS = 10_000;
const BACK_WITHIN_MS = 20_000;
const POLICY_WITHIN_MS = 5_000;

/** Without a control plane everything already known goes on, new handshakes included; one that comes back is obeyed again. */
export const controlAway: Check = {
  name: 'control-away',
  path: '-',
  timeoutMs: 60_000,
  async run(mesh) {
    // A peer that nobody has called yet, of a service account that its node already has a certificate for.
    const spare = await mesh.runWorkload(echoWorkload('spare', 'beta'));
    await waitUntil('echo-spare on the agent of alpha', KNOWN_WITHIN_MS, async () => {
      const { workloads } = await agentStatus(mesh.plan, 'alpha');
      return workloads.some(({ addresses }) => addresses.includes(spare.address[4]));
    });
    mesh.control.signal('SIGKILL');
    await mesh.control.ended;
    const handshakes = await whileAway(mesh, spare.address[4]).finally(() => mesh.startControl());
    await obeysAgain(mesh);
    await mesh.stopWorkload('echo-spare');
    return `direct, hbone, waypoint and DNS worked on without the control plane, ${handshakes} new TLS handshakes among it; after its return a new policy was enforced`;
  },
};

/** Returns the number of TLS handshakes: certificates and peers are known without a control plane. */
async function whileAway(mesh: Bookshop, spareAddress: string): Promise<number> {
  const path = join(mesh.plan.runDir, 'control-away.pcap');
  const { file } = await captured(wireOf(mesh.plan), path, 'tcp', () => expectAllKnownWorks(mesh, spareAddress));
  const { problems, handshakes } = reportWire(file);
  expect(problems.length === 0, `on the link: ${problems.slice(0, 3).join('; ')}`);
  expect(handshakes > 0, 'a call to a new peer made no new TLS handshake');
  return handshakes;
}

/** One call of every path, and one to a peer that nobody has called before. */
async function expectAllKnownWorks(mesh: Bookshop, spareAddress: string): Promise<void> {
  const [shopper, client] = [mesh.probe('shopper'), mesh.app('shopper')];
  for (const family of FAMILIES) {
    await expectEcho(shopper, client, family, vip('echo-near', family));
    await expectEcho(shopper, client, family, vip('echo-far', family));
    await expectEcho(mesh.probe('clerk'), mesh.app('clerk'), family, vip('echo-near', family));
  }
  await expectRefused(mesh.probe('stranger'), vip('echo-near', 4), POLICY_WITHIN_MS);
  const { statuses, errors } = await shopper.http({ ...vip('reviews', 4), path: '/reviews', count: 20, concurrency: 4 });
  expect(statuses['200'] === 20, `through the waypoint: ${JSON.stringify({ statuses, errors })}`);
  const { addresses } = await shopper.resolve('echo-far', 4);
  expect(addresses.join() === vip('echo-far', 4).host, `echo-far resolves to ${addresses.join() || 'nothing'}`);
  await expectEcho(shopper, client, 4, { host: spareAddress, port: ECHO_PORT });
}

/** Connected is not enough: a policy must come through to the kernel, and go again. */
async function obeysAgain(mesh: Bookshop): Promise<void> {
  for (const { name: node } of mesh.plan.nodes) {
    await waitUntil(
      `agent of ${node} back in contact`,
      BACK_WITHIN_MS,
      async () => (await agentStatus(mesh.plan, node)).controlPlane.connected,
    );
  }
  await withConfig(mesh.configDir, '90-check-return.yaml', denyServiceAccount('check-return', 'shopper'), () =>
    waitUntil(
      'new policy in force',
      POLICY_WITHIN_MS,
      async () => (await mesh.probe('shopper').connect(vip('echo-near', 4))).error !== null,
    ),
  );
  await waitUntil(
    'end of that policy',
    POLICY_WITHIN_MS,
    async () => (await mesh.probe('shopper').connect(vip('echo-near', 4))).error === null,
  );
}
