import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { OpenStream, Probe } from '#testbed/apps/probe-client.ts';
import { waitUntil } from '#testbed/processes/wait.ts';
import { AttackedMesh, policyYaml, serviceYaml } from './mesh.testing.ts';

const SETTLE_MS = 10_000;
const VIP = '10.96.1.1';

/** A right that ends while a tunnel carries what it allowed, and a destination that does not hear of it. */
describe('revocation', () => {
  let mesh: AttackedMesh;
  let client: Probe;
  let other: Probe;
  before(async () => {
    mesh = await AttackedMesh.up({ 'server.yaml': serviceYaml('server', VIP) });
    [client, other] = await Promise.all([mesh.probe('client', 'alpha'), mesh.probe('other', 'alpha')]);
    await mesh.echo('server', 'beta');
  });
  after(() => mesh?.down());

  const stream = async (probe: Probe): Promise<OpenStream> => {
    const opened = await probe.stream({ host: VIP, port: 7 });
    assert.ok(typeof opened !== 'string', String(opened));
    return opened;
  };

  test('S10: a DENY closes a live tunnel at its source while the agent of the destination is stopped, and no other', async () => {
    const [denied, kept] = [await stream(client), await stream(other)];
    await waitUntil(
      'ticks',
      SETTLE_MS,
      async () => (await denied.state()).ticksEchoed > 0 && (await kept.state()).ticksEchoed > 0,
    );
    const beta = mesh.lab.agent('beta');
    beta.signal('SIGSTOP');
    try {
      mesh.write('deny.yaml', policyYaml('deny', 'server', 'DENY', ['client']));
      await waitUntil('its end', SETTLE_MS, async () => !(await denied.state()).open);
      await waitUntil('its line', SETTLE_MS, async () =>
        (await mesh.log('alpha')).split('\n').some((line) => line.includes('policy-change') && line.includes('outbound')),
      );
      assert.equal((await kept.state()).open, true);
    } finally {
      beta.signal('SIGCONT');
    }
    await waitUntil('ticks again', SETTLE_MS, async () => (await kept.state()).ticksEchoed > 5);
    await kept.close();
  });
});
