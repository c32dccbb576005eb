import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { AGENT } from '#model/settings/agents.ts';
import { asHost, inNetns } from '#testbed/processes/command-lines.ts';
import { waitUntil } from '#testbed/processes/wait.ts';
import { type Attacker, attackerBy, attackerIn } from './attacker.testing.ts';
import { AttackedMesh, policyYaml, serviceYaml } from './mesh.testing.ts';

const [NEAR, FAR] = ['10.96.1.1', '10.96.1.2'];
const SOCKETS = 5;
const SETTLE_MS = 5_000;

/** What was decided while it was allowed, and takes effect when it no longer is. */
describe('a decision that outlives its policy', () => {
  let mesh: AttackedMesh;
  let client: Attacker;
  before(async () => {
    mesh = await AttackedMesh.up({ 'near.yaml': serviceYaml('near', NEAR), 'far.yaml': serviceYaml('far', FAR) });
    await Promise.all([mesh.probe('client', 'alpha'), mesh.echo('near', 'alpha'), mesh.echo('far', 'beta')]);
    client = await attackerIn(mesh, 'client');
  });
  after(() => mesh?.down());

  const deny = (server: string) => mesh.enforce('deny.yaml', policyYaml('deny', server, 'DENY', ['client']));
  const allow = () => mesh.enforce('deny.yaml', null);
  const refusals = async (cause: string): Promise<number> =>
    (await mesh.log('alpha')).split('\n').filter((line) => line.includes(cause)).length;

  for (const [where, name, vip] of [
    ['the same node', 'near', NEAR],
    ['another node', 'far', FAR],
  ] as const) {
    test(`S1: a socket connected while allowed sends its first byte after a DENY, to ${where}: it is refused, and told`, async () => {
      assert.equal(await client(`defer ${vip} 7`), 'connected');
      await deny(name);
      const before = await refusals('DENY');
      const answers = [await client('send hello'), await client('receive')].join();
      assert.match(answers, /error ECONNRE/);
      assert.doesNotMatch(answers, /data/);
      await waitUntil('a line about it', SETTLE_MS, async () => (await refusals('DENY')) > before);
      await client('close');
      await allow();
    });

    test(`S1: data in the SYN to ${where}: answered while allowed, refused when not`, async () => {
      assert.equal(await client(`fastopen ${vip} 7 hello`), 'sent');
      assert.match(await client('receive'), /^data /);
      await client('close');
      await deny(name);
      const answers = [await client(`fastopen ${vip} 7 hello`), await client('receive')].join();
      assert.match(answers, /error/);
      assert.doesNotMatch(answers, /data/);
      await client('close');
      await allow();
    });
  }

  test('S1: of many such sockets over flips of policy none is answered that is not allowed then, and what is goes on', async () => {
    const many = await Promise.all(Array.from({ length: SOCKETS }, () => attackerIn(mesh, 'client')));
    for (let round = 0; round < 3; round++) {
      for (const one of many) assert.equal(await one(`defer ${NEAR} 7`), 'connected');
      await deny('near');
      for (const one of many) assert.match([await one('send x'), await one('receive')].join(), /^error/);
      for (const one of many) await one('close');
      for (const one of many.slice(0, 2)) assert.equal(await one(`defer ${NEAR} 7`), 'error ECONNREFUSED');
      await allow();
    }
    assert.equal(await client(`defer ${NEAR} 7`), 'connected');
    await mesh.enforce('other.yaml', policyYaml('other', 'near', 'DENY', ['somebody-else']));
    assert.equal(await client('send x'), 'sent');
    assert.match(await client('receive'), /^data /);
    await client('close');
  });

  test('S1: plain text from outside whose handshake a listener defers is closed when a policy came meanwhile', async () => {
    const server = await attackerIn(mesh, 'near');
    const outside = await attackerBy(mesh, (command) => asHost(mesh.plan, inNetns(mesh.plan.outsideNetns, command)));
    assert.equal(await server('serve 9090'), 'listening');
    assert.equal(await outside(`connect ${mesh.app('near').address[4]} 9090`), 'connected');
    const strict =
      '{ apiVersion: security.istio.io/v1, kind: PeerAuthentication, metadata: { name: strict, namespace: attacks }, spec: { mtls: { mode: STRICT } } }';
    await mesh.enforce('strict.yaml', strict);
    await sleep(2 * AGENT.secondSweepMs); // after every look that the change itself caused
    assert.match([await outside('send hello'), await outside('receive')].join(), /ECONNRESET/);
    await mesh.enforce('strict.yaml', null);
  });

  test('S1: a connection of this node that got around the hooks is refused, although plain text would pass', async () => {
    const before = await refusals('not-attested');
    // The namespace of the workload, outside of its cgroup: no hook of connect() or of the SYN sees it.
    const around = await attackerBy(mesh, (command) =>
      asHost(mesh.plan, ['nsenter', `--net=/proc/${mesh.app('client').pid}/ns/net`, '--', ...command]),
    );
    assert.equal(await around(`connect ${mesh.app('near').address[4]} 7000`), 'error ECONNREFUSED');
    await waitUntil('a line about it', SETTLE_MS, async () => (await refusals('not-attested')) === before + 1);
  });
});
