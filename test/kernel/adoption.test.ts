import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { type App, Bed } from './bed.ts';
import { agentOn, serviceDelta, workload, workloadDelta } from './mesh.ts';

/** What goes on without an agent, and how the next one takes over (DESIGN section 4, promise 5). */
describe('a data path without its agent', () => {
  const bed = new Bed();
  let agent: ReturnType<typeof agentOn>;
  let client: App;
  const a = bed.host(1);
  const b = bed.host(2);
  const stranger = bed.host(3);
  const shop = workload({ uid: 'k//Pod/shop/a', name: 'a', serviceAccount: 'a', addresses: [a.ip4, a.ip6] });
  const near = workload({
    uid: 'k//Pod/shop/b',
    name: 'b',
    serviceAccount: 'b',
    addresses: [b.ip4, b.ip6],
    services: { 'shop/near.mesh': [[80, 8080]] },
  });
  const far = workload({
    uid: 'k//Pod/shop/c',
    name: 'c',
    serviceAccount: 'c',
    addresses: ['10.77.9.9'],
    services: { 'shop/far.mesh': [[80, 8080]] },
    node: 'two',
  });
  const mesh = () => {
    const services = new Map([
      ...serviceDelta('near.mesh', ['240.240.0.1'], [[80, 8080]]).services,
      ...serviceDelta('far.mesh', ['240.240.0.2'], [[80, 8080]]).services,
    ]);
    return { ...workloadDelta(shop.workload, near.workload, far.workload), services };
  };

  before(async () => {
    agent = agentOn(bed);
    await agent.agent.enroll({ ...shop.request, netnsPath: a.netnsPath });
    await agent.agent.enroll({ ...near.request, netnsPath: b.netnsPath });
    agent.agent.applyMesh(mesh(), true);
    const server = bed.app(b.netnsPath, 'echo-server', { port: 8080 });
    client = bed.app(a.netnsPath, 'line-client');
    await server.line();
    await client.line();
  });
  after(async () => {
    agent?.stop();
    await bed.down();
  });
  const dial = async (host: string): Promise<string> => {
    client.send(`connect ${host} 80`);
    return client.line();
  };
  const hangUp = async (): Promise<void> => {
    client.send('close');
    assert.equal(await client.line(), 'closed');
  };

  test('E20: with the agent gone, an open direct connection moves bytes and a new one is made', async () => {
    assert.match(await dial('240.240.0.1'), /^connected/);
    agent.stop();
    client.send('send ping');
    assert.equal(await client.line(), 'data ping');
    await hangUp();
    assert.match(await dial('240.240.0.1'), /^connected/);
    client.send('send pong');
    assert.equal(await client.line(), 'data pong');
    await hangUp();
  });

  test('E24: what needs the agent is refused, never sent in plain text', async () => {
    assert.equal(await dial('240.240.0.2'), 'error ECONNREFUSED');
    assert.equal(await client.line(), 'closed');
  });

  test('E24: plain text that only the agent may judge is refused at the SYN', async () => {
    const outsider = bed.app(stranger.netnsPath, 'line-client', { captured: false });
    await outsider.line();
    outsider.send(`connect ${a.ip4} 15006`);
    assert.equal(await outsider.line(), 'error ECONNREFUSED');
  });

  test('a new agent adopts maps, numbers and links; nothing is enrolled by hand and open connections stay', async () => {
    assert.match(await dial('240.240.0.1'), /^connected/);
    const next = agentOn(bed);
    assert.equal(next.adopted, true);
    await next.agent.enroll({ ...shop.request, netnsPath: a.netnsPath });
    await next.agent.enroll({ ...near.request, netnsPath: b.netnsPath });
    client.send('send before-sync');
    assert.equal(await client.line(), 'data before-sync');
    await hangUp();
    assert.match(await dial('240.240.0.1'), /^connected/, 'cached verdicts go on before the first sync');
    await hangUp();
    const before = next.agent.generation;
    next.agent.applyMesh(mesh(), true);
    assert.equal(next.agent.generation, before + 1, 'verdicts of the former agent are all misses');
    assert.match(await dial('240.240.0.1'), /^connected/);
    await hangUp();
    agent = next;
  });
});
