import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { aService, endpointOf } from '#model/mesh/mesh-fixtures.testing.ts';
import type { MeshDelta } from '#model/mesh/mesh-state.ts';
import type { GatewayAddress, Service } from '#model/mesh/service.ts';
import { createTestCa } from '#platform/hbone/test-ca.testing.ts';
import { type App, Bed, type Caller } from './bed.testing.ts';
import { agentOn, policyDelta, workload, workloadDelta } from './mesh.testing.ts';

const PORT = 15_088;

/** A waypoint of somebody else, behind its agent: its tunnels end there, and what they carry is handed to it on loopback. */
describe('an app behind a tunnel of its own', () => {
  const [one, two] = [new Bed(), new Bed()];
  const [a, b, w] = [one.host(1), one.host(2), one.host(3)];
  const gateService = aService('gate', ['240.240.0.8']);
  const gate: GatewayAddress = { kind: 'hostname', namespace: 'shop', hostname: gateService.hostname, hbonePort: 15_008 };
  const vip = '240.240.0.9';
  const cart: Service = {
    ...aService('cart', [vip], { ports: [{ servicePort: 80, targetPort: 8080, appProtocol: 'tcp' }] }),
    waypoint: gate,
  };
  const client = workload({ name: 'a', addresses: [a.ip4, a.ip6] });
  const other = workload({ name: 'b', addresses: [b.ip4, b.ip6] });
  const way = workload({ name: 'w', addresses: [w.ip4, w.ip6], node: 'two' });
  let near: ReturnType<typeof agentOn>;
  let far: ReturnType<typeof agentOn>;
  let app: App;
  let caller: Caller;
  const kill = async ({ process: child }: App): Promise<void> => {
    const ended = new Promise((resolve) => child.once('close', resolve));
    child.kill('SIGKILL');
    await ended;
  };
  const tell = (delta: MeshDelta): void => {
    for (const { agent } of [near, far]) agent.applyMesh(delta, true);
  };

  before(async () => {
    const ca = await createTestCa();
    near = agentOn(one, { node: 'one', ca });
    far = agentOn(two, { node: 'two', ca });
    const record = { ...way.workload, services: endpointOf(gateService, 15_008), appTunnel: { isProxied: true, port: PORT } };
    const services = new Map([gateService, cart].map((service) => [`shop/${service.hostname}`, service]));
    tell({ ...workloadDelta(client.workload, other.workload, record), services });
    await near.agent.enroll({ ...client.request, netnsPath: a.netnsPath });
    await near.agent.enroll({ ...other.request, netnsPath: b.netnsPath });
    await far.agent.enroll({ ...way.request, netnsPath: w.netnsPath });
    app = two.app(w.netnsPath, 'frank-server', { port: PORT });
    await app.line();
    caller = await one.caller(a.netnsPath);
  });
  after(async () => {
    near?.stop();
    far?.stop();
    await one.down();
    await two.down();
  });

  test('B8, B66: a tunnel that asks its agent for the service is accepted, and its app hears who asks for what before all bytes', async () => {
    assert.match(await caller.dial(vip), /^connected/);
    const answer = caller.say('hello');
    const heard = Buffer.from(await app.line(), 'hex');
    assert.equal(await answer, 'data heard');
    assert.equal(heard.subarray(0, 14).toString('hex'), '0d0a0d0a000d0a515549540a2111');
    assert.equal(heard.subarray(16, 20).join('.'), a.ip4, 'from whom');
    assert.equal(heard.subarray(20, 24).join('.'), vip);
    assert.equal(heard.readUInt16BE(26), 80);
    const identity = 'spiffe://cluster.local/ns/shop/sa/a';
    assert.deepEqual([heard[28], heard.readUInt16BE(29)], [0xd0, identity.length]);
    assert.equal(heard.subarray(31).toString().startsWith(identity), true);
    assert.equal(heard.readUInt16BE(14), heard.indexOf('hello') === -1 ? heard.length - 16 : heard.indexOf('hello') - 16);
    await caller.hangUp();
  });

  test('B66: policy of the waypoint decides before its app hears anything; an app that does not listen is a failure', async () => {
    tell(policyDelta('no-a', 'deny', 'cluster.local/ns/shop/sa/a'));
    assert.equal(await caller.refused(vip), 'ECONNRESET');
    const allowed = await one.caller(b.netnsPath);
    assert.match(await allowed.dial(vip), /^connected/);
    void allowed.say('x');
    assert.match(await app.line(), /^0d0a0d0a000d0a515549540a/);
    tell(policyDelta('no-a', null, ''));
    await kill(app);
    assert.equal(await caller.refused(vip), 'ECONNRESET', 'nobody listens');
  });
});
