import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { Probe } from '#testbed/apps/probe-client.ts';
import { waitUntil } from '#testbed/processes/wait.ts';
import { AttackedMesh, policyYaml, serviceYaml } from './mesh.testing.ts';
import { policySpecYaml } from './waypoint.testing.ts';

const VIP = '10.96.1.1';
const SETTLE_MS = 10_000;
const SELECTOR = 'selector: { matchLabels: { app: server } }';
const BROKEN = policySpecYaml('guard', `${SELECTOR}, rules: [{ to: [{ operation: { ports: ["x"] } }] }]`);

/** A policy that cannot be used leaves its target open: by a mistake, by a restart, by its size. */
describe('policies that cannot be used', () => {
  let mesh: AttackedMesh;
  let client: Probe;
  let stranger: Probe;
  before(async () => {
    mesh = await AttackedMesh.up({ 'server.yaml': serviceYaml('server', VIP), 'policy.yaml': BROKEN });
    [client, stranger] = await Promise.all([mesh.probe('client', 'alpha'), mesh.probe('stranger', 'beta')]);
    await mesh.echo('server', 'beta');
  });
  after(() => mesh?.down());

  const dial = async (who: Probe): Promise<string | null> => (await who.connect({ host: VIP, port: 7 })).error;
  const both = () => Promise.all([dial(client), dial(stranger)]);
  const findings = async (): Promise<string[]> =>
    (await mesh.controlStatus()).findings.map(({ code, resource, message }) => `${code} ${resource}: ${message}`);

  test('S3: an invalid policy of which no earlier version is known: nothing is allowed to its target, and the finding says to whom', async () => {
    const errors = await both();
    assert.ok(
      errors.every((error) => error !== null),
      String(errors),
    );
    assert.match(
      (await findings()).join('\n'),
      /AuthorizationPolicy attacks\/guard: .*nothing is allowed to the workloads with app=server/,
    );
  });

  test('S3: ALLOW with methods: [get], a principal with spiffe://, metadata of Envoy: it never matches, so all is refused', async () => {
    for (const rule of [
      '{ to: [{ operation: { methods: [get] } }] }',
      '{ from: [{ source: { principals: ["spiffe://cluster.local/ns/attacks/sa/client"] } }] }',
      '{ when: [{ key: "experimental.envoy.filters.a.b[c]", values: [d] }] }',
    ]) {
      mesh.write('policy.yaml', policySpecYaml('guard', `${SELECTOR}, rules: [${rule}]`));
      await waitUntil('the finding', SETTLE_MS, async () =>
        (await findings()).every((one) => !one.includes('nothing is allowed')),
      );
      const errors = await both();
      assert.ok(
        errors.every((error) => error !== null),
        `${rule}: ${errors}`,
      );
    }
  });

  test('S3: its last good version outlives a control plane that is killed while the policy is broken', async () => {
    await mesh.enforce('policy.yaml', policyYaml('guard', 'server', 'ALLOW', ['client']));
    await waitUntil('the client', SETTLE_MS, async () => (await dial(client)) === null);
    assert.notEqual(await dial(stranger), null);
    mesh.write('policy.yaml', BROKEN);
    await waitUntil('the finding', SETTLE_MS, async () => (await findings()).join().includes('last good version stays'));
    await mesh.lab.restart('control', 'SIGKILL');
    await waitUntil('the finding again', SETTLE_MS, async () => (await findings()).join().includes('last good version stays'));
    assert.deepEqual([await dial(client), (await dial(stranger)) !== null], [null, true]);
  });

  test('S3: a file that grew too large keeps what it held, and closes what it names where nothing is known of it', async () => {
    const padding = `# ${'x'.repeat(1 << 20)}\n`.repeat(33);
    mesh.write('policy.yaml', padding + policyYaml('guard', 'server', 'ALLOW', ['client']));
    await waitUntil('the finding', SETTLE_MS, async () => (await findings()).join().includes('WEFT_FILE_UNREADABLE'));
    await mesh.lab.restart('control', 'SIGKILL');
    await waitUntil('the finding again', SETTLE_MS, async () => (await findings()).join().includes('WEFT_FILE_UNREADABLE'));
    assert.deepEqual([await dial(client), (await dial(stranger)) !== null], [null, true]);
    mesh.write('policy.yaml', null);
    await waitUntil('everybody', SETTLE_MS, async () => (await both()).every((error) => error === null));
    mesh.write('other.yaml', padding + policyYaml('guard', 'server', 'ALLOW', ['client']));
    await waitUntil('nobody', SETTLE_MS, async () => (await both()).every((error) => error !== null));
    mesh.write('other.yaml', null);
    await waitUntil('everybody again', SETTLE_MS, async () => (await both()).every((error) => error === null));
  });
});
