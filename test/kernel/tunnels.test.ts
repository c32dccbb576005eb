import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { identityOf, type Workload } from '#model/mesh/workload.ts';
import { createTestCa, type TestCa } from '#platform/hbone/test-ca.testing.ts';
import { parseRevocationLists } from '#protocol/identity/revocation.ts';
import { waitUntil } from '#testbed/processes/wait.ts';
import { Bed, type Caller } from './bed.testing.ts';
import { agentOn, policyDelta, serviceDelta, workload, workloadDelta } from './mesh.testing.ts';

const DENY_A = policyDelta('no-a', 'deny', 'cluster.local/ns/shop/sa/a');
const ALLOW_AGAIN = policyDelta('no-a', null, '');

/** Two agents on one kernel, each with its own cgroup and maps: real tunnels between real namespaces. */
describe('tunnels between two nodes', () => {
  const one = new Bed();
  const two = new Bed();
  const a = one.host(1);
  const b = one.host(2);
  const vip4 = '240.240.0.9';
  const vip6 = '2001:2::9';
  const shop = workload({ name: 'a', addresses: [a.ip4, a.ip6], node: 'one' });
  const cart = workload({ name: 'b', addresses: [b.ip4, b.ip6], node: 'two', services: { 'shop/cart.mesh': [[80, 8080]] } });
  const mesh = { ...workloadDelta(shop.workload, cart.workload), ...serviceDelta('cart.mesh', [vip4, vip6], [[80, 8080]]) };
  let near: ReturnType<typeof agentOn>;
  let far: ReturnType<typeof agentOn>;
  let client: Caller;
  let ca: TestCa;
  const lines: Record<string, unknown>[] = [];
  const apply = (delta: typeof DENY_A): void => {
    for (const { agent } of [near, far]) agent.applyMesh(delta, true);
  };

  before(async () => {
    ca = await createTestCa();
    near = agentOn(one, { node: 'one', ca, onLine: (fields) => lines.push({ ...fields }) });
    far = agentOn(two, { node: 'two', ca, onLine: (fields) => lines.push({ ...fields }) });
    await near.agent.enroll({ ...shop.request, netnsPath: a.netnsPath });
    await far.agent.enroll({ ...cart.request, netnsPath: b.netnsPath });
    apply(mesh);
    await two.app(b.netnsPath, 'echo-server', { port: 8080 }).line();
    client = await one.caller(a.netnsPath);
  });
  after(async () => {
    near?.stop();
    far?.stop();
    await one.down();
    await two.down();
  });

  const families = [
    ['IPv4', vip4, a.ip4],
    ['IPv6', vip6, a.ip6],
  ] as const;
  for (const [family, vip, ip] of families) {
    test(`B50: over ${family} the app sees the client's own address and port, the client the VIP`, async () => {
      const [state, remote, , local, localPort] = (await client.dial(vip)).split(' ');
      assert.deepEqual([state, remote, local], ['connected', vip, ip]);
      assert.equal((await client.say('who')).replace('::ffff:', ''), `data ${ip} ${localPort}`);
      assert.equal(far.agent.carried, 1);
      await client.hangUp();
    });
  }

  const revocations: readonly (readonly [
    string,
    () => ReturnType<typeof agentOn>,
    () => ReturnType<typeof agentOn>,
    Workload,
  ])[] = [
    ['the destination, of the certificate of the client', () => far, () => near, shop.workload],
    ['the source, of the certificate of the destination', () => near, () => far, cart.workload],
  ];
  for (const [who, judge, holder, revoked] of revocations) {
    test(`B60: a revocation list at ${who} cuts the live tunnel and lets in no new one, while others pass`, async () => {
      const list = async (authority: TestCa) =>
        parseRevocationLists(Buffer.from(await authority.revoke([await holder().certificateOf(identityOf(revoked))])));
      await client.dial(vip4);
      assert.match(await client.say('here'), /^data/);
      judge().agent.carriers.revoked(await list(await createTestCa())); // of somebody with the same name
      judge().agent.carriers.revoked(parseRevocationLists(Buffer.from(await ca.revoke([])))); // says nothing of it
      assert.match(await client.say('there'), /^data/);
      lines.length = 0;
      judge().agent.carriers.revoked(await list(ca)); // its time is over, which makes it no less true
      assert.equal(await client.line(), 'error ECONNRESET');
      assert.equal(await client.line(), 'closed');
      const told = await waitUntil('line', 5_000, () => lines.find(({ cause }) => cause === 'certificate-revoked') ?? null);
      assert.equal(told.response_flags, 'CERT_REVOKED');
      assert.equal(await client.refused(vip4), 'ECONNRESET');
      judge().agent.carriers.revoked([]);
      assert.match(await client.dial(vip4), /^connected/);
      assert.match(await client.say('again'), /^data/);
      await client.hangUp();
    });
  }

  test('B49: a new DENY at the destination closes the live tunnel and refuses the next connection', async () => {
    await client.dial(vip4);
    assert.equal(await client.say('x'), 'data x');
    apply(DENY_A);
    assert.equal(await client.line(), 'error ECONNRESET');
    assert.equal(await client.line(), 'closed');
    assert.equal(await client.refused(vip4), 'ECONNREFUSED', 'the kernel refuses before anything is sent');
    apply(ALLOW_AGAIN);
    assert.match(await client.dial(vip4), /^connected/);
    assert.equal(await client.say('again'), 'data again');
    await client.hangUp();
  });

  test('B10: the destination decides even when the source knows no policy', async () => {
    far.agent.applyMesh(DENY_A, true);
    assert.equal(await client.refused(vip4), 'ECONNRESET');
    far.agent.applyMesh(ALLOW_AGAIN, true);
  });

  test('B11: an app that does not listen is a reset for the client, not a silent end', async () => {
    assert.equal(await client.refused(b.ip4, 9), 'ECONNRESET');
  });

  test('B20: an agent that is gone is not dialled again over its dead tunnel', async () => {
    far.stop();
    assert.equal(await client.refused(vip4), 'ECONNRESET');
    far = agentOn(two, { node: 'two', ca: await createTestCa() });
    await far.agent.enroll({ ...cart.request, netnsPath: b.netnsPath });
    far.agent.applyMesh(mesh, true);
    assert.equal(await client.refused(vip4), 'ECONNRESET', 'a peer of another root is no peer');
  });
});

/** promise 1, on the kernel: incomplete maps. */
describe('an address map that is not complete', () => {
  const bed = new Bed();
  const a = bed.host(1);
  const elsewhere = bed.host(2);
  const shop = workload({ name: 'a', addresses: [a.ip4, a.ip6] });
  let agent: ReturnType<typeof agentOn>;

  before(async () => {
    agent = agentOn(bed);
    await agent.agent.enroll({ ...shop.request, netnsPath: a.netnsPath });
  });
  after(async () => {
    agent?.stop();
    await bed.down();
  });

  test('sends unknown destinations through the agent, never out in plain text', async () => {
    await bed.app(elsewhere.netnsPath, 'echo-server', { port: 7, captured: false }).line();
    const client = await bed.caller(a.netnsPath);
    const dialling = client.dial(elsewhere.ip4, 7);
    assert.match(await dialling, /^connected/, 'captured, and waiting for the mesh to be known');
    assert.equal(agent.counters().captured, 1);
    assert.equal(agent.counters().passthrough, 0);
    const answer = client.say('who');
    agent.agent.applyMesh(workloadDelta(shop.workload), true);
    assert.match(await answer, /^data .*10\.77\.0\.1/, 'known not to be in the mesh, it passes');
    await client.hangUp();
    assert.match(await client.dial(elsewhere.ip4, 7), /^connected/);
    assert.equal(agent.counters().captured, 1, 'and the next one is not captured');
    await client.hangUp();
  });
});
