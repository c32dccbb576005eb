import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { waitUntil } from '#testbed/processes/wait.ts';
import { type Attacker, attackerIn } from './attacker.testing.ts';
import { AttackedMesh, policyYaml, serviceYaml } from './mesh.testing.ts';

const VIP = '10.96.6.1';
const SETTLE_MS = 5_000;

/** `server` lets in account client only. Attackers have every capability: raw sockets, and their interface. */
describe('what lets a connection in', () => {
  let mesh: AttackedMesh;
  let client: Attacker;
  before(async () => {
    mesh = await AttackedMesh.up({
      'server.yaml': serviceYaml('server', VIP),
      'policy.yaml': policyYaml('clients', 'server', 'ALLOW', ['client']),
    });
    await Promise.all([mesh.probe('client', 'alpha'), mesh.probe('thief', 'alpha'), mesh.echo('server', 'alpha')]);
    client = await attackerIn(mesh, 'client');
  });
  after(() => mesh?.down());

  const told = async (): Promise<number> =>
    (await mesh.log('alpha')).split('\n').filter((line) => line.includes('not-attested')).length;
  const ip = (name: string): string => mesh.app(name).address[4];

  test('S6: a raw SYN of the ends of a connection that its peer has forgotten: it is refused, and told', async () => {
    const server = await attackerIn(mesh, 'server');
    assert.equal(await server('serve 9090'), 'listening');
    assert.equal(await client(`connect ${ip('server')} 9090`), 'connected');
    assert.equal(await client('send hello'), 'sent');
    const [, port = ''] = /^accepted (\d+)$/.exec(await server('accept')) ?? assert.fail('not accepted');
    // The server forgets without a word: its reset finds no way out.
    const route = (verb: string) => mesh.inside('server', ['ip', 'route', verb, 'blackhole', `${ip('client')}/32`]);
    assert.equal((await route('add')).stderr, '');
    assert.equal(await server('abort'), 'aborted');
    assert.equal((await route('del')).stderr, '');
    const before = await told();
    const raw = await attackerIn(mesh, 'client');
    assert.notEqual(await raw(`syn ${ip('client')} ${port} ${ip('server')} 9090`), 'answered');
    await waitUntil('a line about it', SETTLE_MS, async () => (await told()) > before);
    await client('close');
  });

  test('S6: a raw SYN under the address of an allowed client, from a neighbour: nobody answers', async () => {
    const raw = await attackerIn(mesh, 'thief');
    for (const port of [40_000, 40_001]) {
      const answer = await raw(`syn ${ip('client')} ${port} ${ip('server')} 7000`);
      assert.match(answer, /^(silence|reset|error \w+)$/);
    }
  });

  test('S6: a raw SYN under its own address, which no hook has seen: it is refused', async () => {
    const raw = await attackerIn(mesh, 'thief');
    assert.notEqual(await raw(`syn ${ip('thief')} 40002 ${ip('server')} 7000`), 'answered');
  });

  test('S6: after all of that the allowed client is let in as before', async () => {
    await waitUntil('an answer', SETTLE_MS, async () => {
      const connected = (await client(`connect ${VIP} 7`)) === 'connected' && (await client('receive')).startsWith('data');
      await client('close');
      return connected;
    });
  });
});
