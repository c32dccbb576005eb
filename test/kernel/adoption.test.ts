import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Bed, type Caller } from './bed.testing.ts';
import { agentOn, serviceDelta, workload, workloadDelta } from './mesh.testing.ts';

/** What goes on without an agent, and how the next one takes over (promise 5). */
describe('a data path without its agent', () => {
  const bed = new Bed();
  let agent: ReturnType<typeof agentOn>;
  let client: Caller;
  const a = bed.host(1);
  const b = bed.host(2);
  const stranger = bed.host(3);
  const NEAR = '240.240.0.1';
  const FAR = '240.240.0.2';
  const shop = workload({ name: 'a', addresses: [a.ip4, a.ip6] });
  const near = workload({ name: 'b', addresses: [b.ip4, b.ip6], services: { 'shop/near.mesh': [[80, 8080]] } });
  const far = workload({ name: 'c', addresses: ['10.77.9.9'], services: { 'shop/far.mesh': [[80, 8080]] }, node: 'two' });
  const mesh = () => {
    const [one, two] = [serviceDelta('near.mesh', [NEAR], [[80, 8080]]), serviceDelta('far.mesh', [FAR], [[80, 8080]])];
    return {
      ...workloadDelta(shop.workload, near.workload, far.workload),
      services: new Map([...one.services, ...two.services]),
    };
  };
  const enroll = async ({ agent: enrolling }: ReturnType<typeof agentOn>): Promise<void> => {
    await enrolling.enroll({ ...shop.request, netnsPath: a.netnsPath });
    await enrolling.enroll({ ...near.request, netnsPath: b.netnsPath });
  };

  before(async () => {
    agent = agentOn(bed);
    await enroll(agent);
    agent.takeOver();
    agent.agent.applyMesh(mesh(), true);
    await bed.app(b.netnsPath, 'echo-server', { port: 8080 }).line();
    client = await bed.caller(a.netnsPath);
  });
  after(async () => {
    agent?.stop();
    await bed.down();
  });

  test('E20: with the agent gone, an open direct connection moves bytes and a new one is made', async () => {
    assert.match(await client.dial(NEAR), /^connected/);
    agent.stop();
    assert.equal(await client.say('ping'), 'data ping');
    await client.hangUp();
    assert.match(await client.dial(NEAR), /^connected/);
    assert.equal(await client.say('pong'), 'data pong');
    await client.hangUp();
  });

  test('E24: what needs the agent is refused, never sent in plain text', async () => {
    assert.equal(await client.refused(FAR), 'ECONNREFUSED');
  });

  test('E24: plain text that only the agent may judge is refused at the SYN', async () => {
    const outsider = await bed.caller(stranger.netnsPath, false);
    assert.equal(await outsider.refused(a.ip4, 15006), 'ECONNREFUSED');
  });

  test('a new agent adopts maps, numbers and links; nothing is enrolled by hand and open connections stay', async () => {
    assert.match(await client.dial(NEAR), /^connected/);
    const next = agentOn(bed);
    assert.equal(next.adopted, true);
    await enroll(next);
    next.takeOver();
    assert.equal(await client.say('before-sync'), 'data before-sync');
    await client.hangUp();
    assert.match(await client.dial(NEAR), /^connected/, 'cached verdicts go on before the first sync');
    await client.hangUp();
    const before = next.agent.generation;
    next.agent.applyMesh(mesh(), true);
    assert.equal(next.agent.generation, before + 1, 'verdicts of the former agent are all misses');
    assert.match(await client.dial(NEAR), /^connected/);
    await client.hangUp();
    agent = next;
  });
});
