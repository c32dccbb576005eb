import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { CAPTURE_ANNOTATIONS } from '#model/mesh/capture.ts';
import { type App, Bed, type Caller } from './bed.testing.ts';
import { agentOn, policyDelta, workload, workloadDelta } from './mesh.testing.ts';

const { inboundInClear, dns } = CAPTURE_ANNOTATIONS;

/** What annotations of a workload change about its capture, on the real kernel; what they must not change as well. */
describe('annotations of a workload', () => {
  const bed = new Bed();
  const [a, b, stranger, gate] = [bed.host(1), bed.host(2), bed.host(3), bed.host(4)];
  /** So that verdicts for the port are there before anybody asks. */
  const services: Record<string, [number, number][]> = { 'shop/echo.mesh': [[80, 8080]] };
  const client = workload({ name: 'a', addresses: [a.ip4, a.ip6] });
  const server = workload({ name: 'b', addresses: [b.ip4, b.ip6], services });
  const usual = workload({ name: 'c', addresses: [gate.ip4, gate.ip6], services });
  let node: ReturnType<typeof agentOn>;
  let outside: Caller;
  let inside: Caller;
  const enroll = (annotations: Record<string, string>): Promise<unknown> =>
    node.agent.enroll({ ...server.request, netnsPath: b.netnsPath, annotations });

  before(async () => {
    node = agentOn(bed, { answerDatagram: (query) => Buffer.from(`agent ${query}`) });
    for (const host of [b, gate]) await bed.app(host.netnsPath, 'echo-server', { port: 8080 }).line();
    await bed.app(stranger.netnsPath, 'datagram-greeter', { port: 53, captured: false, targets: ['nameserver'] }).line();
    await bed.app(stranger.netnsPath, 'echo-server', { port: 53, captured: false }).line();
    await node.agent.enroll({ ...client.request, netnsPath: a.netnsPath });
    await node.agent.enroll({ ...usual.request, netnsPath: gate.netnsPath });
    await enroll({});
    node.agent.applyMesh(workloadDelta(client.workload, server.workload, usual.workload), true);
    node.agent.applyMesh(policyDelta('strict', 'deny', null), true);
    outside = await bed.caller(stranger.netnsPath, false);
    inside = await bed.caller(a.netnsPath);
  });
  after(async () => {
    node?.stop();
    await bed.down();
  });

  test('B69: plain text passes STRICT where inbound capture is bypassed, there alone, and no later policy cuts it', async () => {
    assert.equal(await outside.refused(b.ip4, 8080), 'ECONNREFUSED', 'as usual');
    await enroll({ [inboundInClear]: 'true' });
    assert.equal(await outside.refused(gate.ip4, 8080), 'ECONNREFUSED', 'its neighbour is as it was');
    const carried = node.agent.carried;
    for (const ip of [b.ip4, b.ip6]) {
      assert.match(await outside.dial(ip, 8080), /^connected/);
      assert.match(await outside.say('who'), new RegExp(`${ip === b.ip4 ? stranger.ip4 : stranger.ip6} `), 'it sees who calls');
      node.agent.applyMesh(policyDelta('another', 'deny', null), true);
      assert.equal(await outside.say('still'), 'data still');
      node.agent.applyMesh(policyDelta('another', null, ''), true);
      await outside.hangUp();
    }
    assert.equal(node.agent.carried, carried, 'by the kernel alone');
    await enroll({});
    assert.equal(await outside.refused(b.ip4, 8080), 'ECONNREFUSED', 'what is taken back is taken back');
  });

  test('B69: what comes from the mesh is judged all the same, and from this node nothing comes without an attestation', async () => {
    await enroll({ [inboundInClear]: 'true' });
    assert.match(await inside.dial(b.ip4, 8080), /^connected/);
    node.agent.applyMesh(policyDelta('no-a', 'deny', 'cluster.local/ns/shop/sa/a'), true);
    assert.equal(await inside.line(), 'error ECONNABORTED', 'its open connection is cut');
    assert.equal(await inside.line(), 'closed');
    assert.equal(await inside.refused(b.ip4, 8080), 'ECONNREFUSED');
    const around = await bed.caller(a.netnsPath, false);
    assert.equal(await around.refused(b.ip4, 8080), 'ECONNREFUSED', 'past the hooks of its node');
    node.agent.applyMesh(policyDelta('no-a', null, ''), true);
    await enroll({});
  });

  test('B69: a workload with DNS capture off asks the nameserver that it means, by UDP and TCP; the agent hears nothing', async () => {
    const asking = async (to: string): Promise<string[]> => {
      const app: App = bed.app(b.netnsPath, 'datagram-client');
      await app.line();
      app.send(`ask ${to} 53 q`);
      const unconnected = await app.line();
      app.send(`connected ${to} 53 q`);
      await app.line();
      return [unconnected, await app.line()];
    };
    const usually = [`answer agent q ${stranger.ip4} 53`, `answer agent q ${stranger.ip4} 53`];
    assert.deepEqual(await asking(stranger.ip4), usually);
    await enroll({ [dns]: 'false' });
    const before = node.counters().dns;
    const own = (ip: string, self: string): string[] => {
      const answer = `answer nameserver q ${self} ${ip} 53`;
      return [answer, answer];
    };
    assert.deepEqual(await asking(stranger.ip4), own(stranger.ip4, b.ip4));
    assert.deepEqual(await asking(stranger.ip6), own(stranger.ip6, b.ip6));
    const caller = await bed.caller(b.netnsPath);
    assert.match(await caller.dial(stranger.ip4, 53), /^connected/);
    assert.equal(await caller.say('query'), 'data query');
    await caller.hangUp();
    assert.equal(node.counters().dns, before);
    await enroll({ [dns]: 'true' });
    assert.deepEqual(await asking(stranger.ip4), usually);
  });
});
