import assert from 'node:assert/strict';
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { SCHEMA } from '#model/kernel/abi.ts';
import { linksDirectory, mapsDirectory } from '#platform/bpf/pins.ts';
import { type App, Bed, type Caller } from './bed.testing.ts';
import { agentOn, policyDelta, serviceDelta, workload, workloadDelta } from './mesh.testing.ts';

type Tally = { answered: number; opened: number; refused: number };

/** Other map layouts come up beside the old, and nothing that was open before escapes a later policy. */
describe('a data path under an agent with other maps', () => {
  const bed = new Bed();
  const [a, b, denied, far] = [bed.host(1), bed.host(2), bed.host(3), bed.host(4)];
  const NEAR = '240.240.0.1';
  const shop = workload({ name: 'a', addresses: [a.ip4, a.ip6] });
  const near = workload({ name: 'b', addresses: [b.ip4, b.ip6], services: { 'shop/near.mesh': [[80, 8080]] } });
  const cart = workload({ name: 'denied', addresses: [denied.ip4, denied.ip6] });
  const remote = workload({ name: 'far', addresses: [far.ip4, far.ip6], node: 'two' });
  const NO_CART = policyDelta('no-cart', 'deny', 'cluster.local/ns/shop/sa/denied');
  const mesh = () => ({
    ...workloadDelta(shop.workload, near.workload, cart.workload, remote.workload),
    ...serviceDelta('near.mesh', [NEAR], [[80, 8080]]),
    policies: NO_CART.policies,
  });
  let agent: ReturnType<typeof agentOn>;
  let client: Caller;
  /** Targets in this order: the near service, the far workload's own address in both families. */
  let allowedLoop: App;
  /** Target: the near workload, which policy denies. */
  let deniedLoop: App;

  const report = async (loop: App): Promise<Tally[]> => {
    loop.send('report');
    return JSON.parse(await loop.line());
  };
  const enroll = async ({ agent: enrolling }: ReturnType<typeof agentOn>): Promise<void> => {
    await enrolling.enroll({ ...shop.request, netnsPath: a.netnsPath });
    await enrolling.enroll({ ...near.request, netnsPath: b.netnsPath });
    await enrolling.enroll({ ...cart.request, netnsPath: denied.netnsPath });
  };
  /** A whole start of an agent; the pauses are where the loops have time to slip through. */
  const start = async (schema: number): Promise<ReturnType<typeof agentOn>> => {
    const next = agentOn(bed, { schema });
    await sleep(50);
    await enroll(next);
    await sleep(50);
    next.takeOver();
    await sleep(50);
    next.agent.applyMesh(mesh(), true);
    return next;
  };
  const assertClosed = async (): Promise<Tally[]> => {
    const [[service, ...toFar], toNear] = [await report(allowedLoop), await report(deniedLoop)];
    for (const { answered } of [...toFar, ...toNear]) assert.equal(answered, 0, JSON.stringify({ toFar, toNear }));
    return service === undefined ? [] : [service];
  };

  before(async () => {
    agent = await start(SCHEMA);
    await bed.app(b.netnsPath, 'echo-server', { port: 8080 }).line();
    await bed.app(far.netnsPath, 'echo-server', { port: 8080, captured: false }).line();
    client = await bed.caller(a.netnsPath);
    const targets = [`${NEAR}/80`, `${far.ip4}/8080`, `${far.ip6}/8080`];
    allowedLoop = bed.app(a.netnsPath, 'connect-loop', { targets });
    deniedLoop = bed.app(denied.netnsPath, 'connect-loop', { targets: [`${b.ip4}/8080`, `${b.ip6}/8080`] });
    for (const loop of [allowedLoop, deniedLoop]) assert.equal(await loop.line(), 'ready');
  });
  after(async () => {
    agent?.stop();
    await bed.down();
  });

  test('S7: six upgrades under connect loops: no connection to another node in plain text, no denied one answered', async () => {
    for (let schema = SCHEMA + 1; schema <= SCHEMA + 6; schema++) {
      agent.stop();
      await sleep(50);
      agent = await start(schema);
      assert.deepEqual([agent.adopted, agent.guarded], [false, true]);
      await sleep(100);
      const [service] = await assertClosed();
      assert.ok((service?.answered ?? 0) > 0, 'what is allowed goes on');
      assert.deepEqual(readdirSync(bed.pinDir).sort(), [String(schema), 'links'], 'the former maps are forgotten');
    }
  });

  test('S7: a connection from before an upgrade goes on, and a policy after it closes it', async () => {
    assert.match(await client.dial(NEAR), /^connected/);
    agent.stop();
    agent = await start(SCHEMA + 20);
    assert.equal(await client.say('still'), 'data still');
    agent.agent.applyMesh(policyDelta('no-a', 'deny', 'cluster.local/ns/shop/sa/a'), true);
    assert.equal(await client.line(), 'error ECONNABORTED');
    assert.equal(await client.line(), 'closed');
    agent.agent.applyMesh(policyDelta('no-a', null, ''), true);
    await assertClosed();
  });

  test('S7: an agent that dies halfway through an upgrade leaves the former programs in place', async () => {
    agent.stop();
    for (const dies of ['before it enrolls', 'before it takes over']) {
      const next = agentOn(bed, { schema: SCHEMA + 30 });
      if (dies === 'before it takes over') await enroll(next);
      await sleep(50);
      next.stop();
      await sleep(50);
      await assertClosed();
    }
    agent = await start(SCHEMA + 20);
    assert.equal(agent.adopted, true, 'the version before is still there to go back to');
    await assertClosed();
  });

  test('S7: a pin that is missing or a configuration that was wiped opens nothing, and the next agent starts afresh', async () => {
    const damages = [
      () => rmSync(join(mapsDirectory(bed.pinDir, SCHEMA + 20), 'flows')),
      () => rmSync(mapsDirectory(bed.pinDir, SCHEMA + 20), { recursive: true }),
      () => {
        const wiped = agentOn(bed, { schema: SCHEMA + 20 });
        const config = wiped.agent.kernelMaps().config;
        const now = config.get(0);
        if (now !== null) config.set(0, { ...now, schema: 0, generation: 0, flags: 0, outboundPort: 0 });
        wiped.stop();
      },
    ];
    for (const damage of damages) {
      agent.stop();
      damage();
      await sleep(100);
      await assertClosed();
      agent = await start(SCHEMA + 20);
      assert.equal(agent.adopted, false);
      await sleep(50);
      const [service] = await assertClosed();
      assert.ok((service?.answered ?? 0) > 0);
    }
  });
});

/** Programs that were taken away while nobody looked: what came through is found and judged. */
describe('a hole in a data path', () => {
  const bed = new Bed();
  const [a, b, far] = [bed.host(1), bed.host(2), bed.host(3)];
  const shop = workload({ name: 'a', addresses: [a.ip4, a.ip6] });
  const near = workload({ name: 'b', addresses: [b.ip4, b.ip6] });
  const remote = workload({ name: 'far', addresses: [far.ip4, far.ip6], node: 'two' });
  const NO_A = policyDelta('no-a', 'deny', 'cluster.local/ns/shop/sa/a');
  const mesh = () => workloadDelta(shop.workload, near.workload, remote.workload);
  let agent: ReturnType<typeof agentOn>;
  const enroll = async ({ agent: enrolling }: ReturnType<typeof agentOn>): Promise<void> => {
    await enrolling.enroll({ ...shop.request, netnsPath: a.netnsPath });
    await enrolling.enroll({ ...near.request, netnsPath: b.netnsPath });
  };

  before(async () => {
    agent = agentOn(bed);
    await enroll(agent);
    agent.takeOver();
    agent.agent.applyMesh({ ...mesh(), policies: NO_A.policies }, true);
    for (const [{ netnsPath }, captured] of [
      [b, true],
      [far, false],
    ] as const) {
      await bed.app(netnsPath, 'echo-server', { port: 8080, captured }).line();
    }
  });
  after(async () => {
    agent?.stop();
    await bed.down();
  });

  for (const schema of [SCHEMA, SCHEMA + 1]) {
    test(`S7: ${schema === SCHEMA ? 'the same' : 'other'} maps: what was opened through the hole is closed once the mesh is known`, async () => {
      const callers = [];
      for (const ip of [b.ip4, b.ip6, far.ip4, far.ip6]) callers.push({ ip, caller: await bed.caller(a.netnsPath) });
      agent.stop();
      const links = linksDirectory(bed.pinDir);
      for (const name of readdirSync(links)) rmSync(join(links, name));
      await sleep(100); // the kernel lets go of a program a moment after its last link
      for (const { ip, caller } of callers) {
        assert.match(await caller.dial(ip, 8080), /^connected/, 'the hole is there');
        assert.equal(await caller.say('in'), 'data in');
      }
      agent = agentOn(bed, { schema });
      assert.equal(agent.guarded, false);
      await enroll(agent);
      agent.takeOver();
      agent.agent.applyMesh({ ...mesh(), policies: NO_A.policies }, true);
      for (const { ip, caller } of callers) assert.equal(await caller.line(), 'error ECONNABORTED', ip);
      const again = await bed.caller(a.netnsPath);
      assert.match(await again.refused(b.ip4, 8080), /^ECONN(REFUSED|RESET)$/); // by the kernel, or by the agent that was asked
      assert.ok(existsSync(join(links, 'weft_connect4')));
      assert.deepEqual(agent.agent.kernelMaps().flows.entries(), [], 'nothing of them stays');
    });
  }
});
