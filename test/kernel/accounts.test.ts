import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { createTestCa } from '#platform/hbone/test-ca.testing.ts';
import { waitUntil } from '#testbed/processes/wait.ts';
import { type App, Bed } from './bed.testing.ts';
import { agentOn, policyDelta, serviceDelta, workload, workloadDelta } from './mesh.testing.ts';

const ENDINGS = ['after-end', 'server-first', 'client-first', 'client-closes', 'client-resets'] as const;
const TIMEOUT_MS = 10_000;

/** What the apps counted themselves, and what a page says. */
type Sums = { opened: number; closed: number; failed: number; up: number; down: number };

/** Bytes and connections of every path as the apps count them, as the metrics say them, and as the log tells them. */
describe('accounts of connections', () => {
  const one = new Bed();
  const two = new Bed();
  const [a, b, c, d] = [one.host(1), one.host(2), one.host(3), one.host(4)];
  const shop = workload({ name: 'a', addresses: [a.ip4, a.ip6] });
  const near = workload({ name: 'b', addresses: [b.ip4, b.ip6], services: { 'shop/near.mesh': [[80, 8080]] } });
  const far = workload({ name: 'c', addresses: [c.ip4, c.ip6], node: 'two', services: { 'shop/far.mesh': [[80, 8080]] } });
  const [nearVip, farVip] = ['240.240.0.8', '240.240.0.9'];
  const lines: Record<string, unknown>[] = [];
  let here: ReturnType<typeof agentOn>;
  let there: ReturnType<typeof agentOn>;
  let client: App;
  let stranger: App;

  before(async () => {
    const ca = await createTestCa();
    here = agentOn(one, { node: 'one', ca, onLine: (fields, message) => lines.push({ ...fields, message }) });
    there = agentOn(two, { node: 'two', ca });
    await here.agent.enroll({ ...shop.request, netnsPath: a.netnsPath });
    await here.agent.enroll({ ...near.request, netnsPath: b.netnsPath });
    await there.agent.enroll({ ...far.request, netnsPath: c.netnsPath });
    const services = new Map([
      ...serviceDelta('near.mesh', [nearVip], [[80, 8080]]).services,
      ...serviceDelta('far.mesh', [farVip], [[80, 8080]]).services,
    ]);
    for (const { agent } of [here, there])
      agent.applyMesh({ ...workloadDelta(shop.workload, near.workload, far.workload), services }, true);
    await one.app(b.netnsPath, 'teller-server', { port: 8080 }).line();
    await two.app(c.netnsPath, 'teller-server', { port: 8080 }).line();
    await one.app(d.netnsPath, 'teller-server', { port: 8080, captured: false }).line();
    client = one.app(a.netnsPath, 'teller-client');
    stranger = one.app(d.netnsPath, 'teller-client', { captured: false });
    for (const app of [client, stranger]) assert.equal(await app.line(), 'ready');
    // The first connection of a pair is judged ahead, so what follows goes by the kernel alone.
  });
  after(async () => {
    here?.stop();
    there?.stop();
    await one.down();
    await two.down();
  });

  /** The sums over the series of an agent's page that have all of these labels. */
  function page(labels: Record<string, string>, of: ReturnType<typeof agentOn> = here): Sums {
    const sums = { opened: 0, closed: 0, failed: 0, up: 0, down: 0 };
    const fields = {
      istio_tcp_connections_opened_total: 'opened',
      istio_tcp_connections_closed_total: 'closed',
      istio_tcp_connections_failed_total: 'failed',
      istio_tcp_received_bytes_total: 'up',
      istio_tcp_sent_bytes_total: 'down',
    } as const;
    of.agent.traffic.read();
    for (const { name, series } of of.agent.meters.collect()) {
      const field = fields[name as keyof typeof fields];
      if (field === undefined) continue;
      for (const one of series)
        if (Object.entries(labels).every(([label, value]) => one.labels[label] === value)) sums[field] += Number(one.value);
    }
    return sums;
  }

  /** One connection of each ending, one after the other; what the client counted of them. */
  async function talk(app: App, host: string, port: number): Promise<Sums> {
    const sums = { opened: 0, closed: 0, failed: 0, up: 0, down: 0 };
    for (const [at, ending] of ENDINGS.entries()) {
      app.send(`${host} ${port} ${100_000 * at + 77} ${1 + 70_000 * at} ${ending}`);
      const [up = '', down = ''] = (await app.line()).split(' ');
      sums.opened++;
      sums.closed++;
      sums.up += Number(up);
      sums.down += Number(down);
    }
    return sums;
  }

  function added(now: Sums, before: Sums): Sums {
    return Object.fromEntries(Object.entries(now).map(([name, value]) => [name, value - before[name as keyof Sums]])) as Sums;
  }

  /** Holds that the page comes to say exactly what the app counted. */
  async function equals(labels: Record<string, string>, before: Sums, want: Sums, of = here): Promise<void> {
    await waitUntil('end of all connections', TIMEOUT_MS, () => page(labels, of).closed - before.closed >= want.closed).catch(
      () => {}, // what is missing, the comparison says
    );
    assert.deepEqual(added(page(labels, of), before), want);
  }

  async function linesOf(count: number, match: (line: Record<string, unknown>) => boolean): Promise<Record<string, unknown>[]> {
    return waitUntil(`${count} lines`, TIMEOUT_MS, () => {
      here.readEvents();
      const found = lines.filter(match);
      return found.length >= count && found;
    });
  }

  const DIRECT = { source_workload: 'a', destination_workload: 'b', destination_service: 'near.mesh' };
  test('direct: kernel counts, and both sides tell them', async () => {
    const [source, destination] = [
      { ...DIRECT, reporter: 'source' },
      { ...DIRECT, reporter: 'destination' },
    ];
    const before = [page(source), page(destination)] as const;
    const want = await talk(client, nearVip, 80);
    await equals(source, before[0], want);
    await equals(destination, before[1], want);
    assert.equal(here.agent.carried, 0);
    const told = await linesOf(ENDINGS.length, (line) => line.via === 'direct');
    assert.equal(told.length, ENDINGS.length);
    const [first = {}] = told;
    assert.deepEqual(
      [first.message, first['dst.service'], first['src.workload'], first['dst.workload'], first.downstream_local_address],
      ['connection complete', 'near.mesh', 'a', 'b', `${nearVip}:80`],
    );
    assert.equal(
      told.reduce((sum, line) => sum + Number(line.bytes_sent), 0),
      want.up,
    );
    assert.deepEqual(
      told.map(({ error = null }) => error),
      [null, null, null, null, 'connection reset'],
    );
    assert.match(String(first.rtt), /^[1-9]\d*us$/);
  });

  test('direct: an app that does not listen is a failed connection', async () => {
    const before = page({ ...DIRECT, destination_service: 'unknown', reporter: 'source' });
    client.send(`${b.ip4} 8080 1 1 after-end`); // a verdict for its port
    await client.line();
    const labels = { reporter: 'source', destination_workload: 'b', response_flags: 'CONNECT' };
    const failed = page(labels).failed;
    client.send(`${b.ip4} 8081 10 10 after-end`);
    await client.line(); // carried by the agent, which remembers the verdict
    client.send(`${b.ip4} 8081 10 10 after-end`);
    assert.equal(await client.line(), 'error ECONNREFUSED');
    await waitUntil('count', TIMEOUT_MS, () => page(labels).failed - failed === 2);
    await linesOf(1, (line) => line.via === 'direct' && line.cause === 'connect-failed');
    assert.ok(page({ ...DIRECT, destination_service: 'unknown', reporter: 'source' }).opened > before.opened);
  });

  test('hbone: both agents count, each as its reporter', async () => {
    const labels = { source_workload: 'a', destination_workload: 'c', destination_service: 'far.mesh' };
    const [source, destination] = [
      { ...labels, reporter: 'source' },
      { ...labels, reporter: 'destination' },
    ];
    const want = await talk(client, farVip, 80);
    const none = { opened: 0, closed: 0, failed: 0, up: 0, down: 0 };
    await equals(source, none, want);
    await equals(destination, none, want, there);
    await linesOf(ENDINGS.length, (line) => line.via === 'hbone');
  });

  test('passthrough: what the mesh does not know is counted as unknown', async () => {
    const labels = { reporter: 'source', source_workload: 'a', destination_workload: 'unknown', destination_service: 'unknown' };
    const before = page(labels);
    const want = await talk(client, d.ip4, 8080);
    await equals(labels, before, want);
    const told = await linesOf(ENDINGS.length, (line) => line.via === 'passthrough');
    assert.equal(told[0]?.['dst.addr'], `${d.ip4}:8080`);
  });

  test('plain text that arrives is counted by the destination', async () => {
    const labels = { reporter: 'destination', source_workload: 'unknown', destination_workload: 'b' };
    const before = page(labels);
    const want = await talk(stranger, b.ip4, 8080);
    await equals(labels, before, want);
    const told = await linesOf(ENDINGS.length, (line) => line.via === 'plain');
    assert.equal(told[0]?.direction, 'inbound');
  });

  test('denied: one failed connection each, told with the policy, and an open one ends with its cause', async () => {
    const labels = { reporter: 'source', source_workload: 'a', destination_workload: 'b', response_flags: 'DENY' };
    const open = one.app(a.netnsPath, 'line-client');
    assert.equal(await open.line(), 'ready');
    open.send(`connect ${nearVip} 80`);
    assert.match(await open.line(), /^connected/);
    here.agent.applyMesh(policyDelta('no-a', 'deny', 'cluster.local/ns/shop/sa/a'), true);
    const failed = page(labels).failed;
    for (let at = 0; at < 3; at++) {
      client.send(`${nearVip} 80 10 10 after-end`);
      assert.equal(await client.line(), 'error ECONNREFUSED');
    }
    await waitUntil('count', TIMEOUT_MS, () => {
      here.readEvents();
      return page(labels).failed - failed === 3;
    });
    const told = await linesOf(3, (line) => line.policy === 'shop/no-a' && line.response_flags === 'DENY');
    assert.ok(told.length >= 3);
    const [cut] = await linesOf(1, (line) => line.via === 'direct' && line.cause === 'policy-change');
    assert.equal(cut?.response_flags, 'DENY');
    here.agent.applyMesh(policyDelta('no-a', null, ''), true);
  });
});
