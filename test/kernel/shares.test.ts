import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { parseIp } from '#model/address/ip.ts';
import type { KernelLimits } from '#model/kernel/maps.ts';
import { kernelLimits } from '#node-agent/kernel/shares.ts';
import { eventually } from '#platform/linux/process/waiting.ts';
import { type App, Bed } from './bed.testing.ts';
import { agentOn, workload, workloadDelta } from './mesh.testing.ts';

const ROOT = new URL('../../', import.meta.url).pathname;
/** As the agent writes it for a table of 40 places and 4 workloads. */
const SMALL: KernelLimits = { liveAssured: 5, liveOpen: 20, carriedAssured: 3, carriedOpen: 10, events: 50 };

/** A client of hundreds; `outcome` is what became of its connections. */
class Crowd {
  readonly #app: App;

  private constructor(app: App) {
    this.#app = app;
  }

  static async of(bed: Bed, netnsPath: string, captured = true): Promise<Crowd> {
    const app = bed.app(netnsPath, 'crowd-client', { captured });
    assert.equal(await app.line(), 'ready');
    return new Crowd(app);
  }

  hold(count: number, host: string, port = 8080): Promise<Record<string, number>> {
    return this.#ask(`hold ${count} ${host} ${port}`).then((text) => JSON.parse(text));
  }

  loop(ms: number, host: string, port: number): Promise<Record<string, number>> {
    return this.#ask(`loop ${ms} ${host} ${port}`).then((text) => JSON.parse(text));
  }

  open = async (): Promise<number> => Number(await this.#ask('open'));
  drop = (): Promise<string> => this.#ask('drop');
  reset = (): Promise<string> => this.#ask('reset');

  #ask(line: string): Promise<string> {
    this.#app.send(line);
    return this.#app.line();
  }
}

/** Two clients and a server on this node, and a stranger outside of the mesh. */
function town(bed: Bed) {
  const hosts = [bed.host(1), bed.host(2), bed.host(3), bed.host(4)] as const;
  const [a, b, c, stranger] = hosts;
  const greedy = workload({ name: 'greedy', addresses: [a.ip4, a.ip6] });
  const shop = workload({ name: 'shop', addresses: [b.ip4, b.ip6], services: { 'shop/shop.mesh': [[80, 8080]] } });
  const modest = workload({ name: 'modest', addresses: [c.ip4, c.ip6] });
  const enroll = async ({ agent }: ReturnType<typeof agentOn>): Promise<number[]> => {
    const all = [
      { ...greedy.request, netnsPath: a.netnsPath },
      { ...shop.request, netnsPath: b.netnsPath },
      { ...modest.request, netnsPath: c.netnsPath },
    ];
    const ids: number[] = [];
    for (const request of all) ids.push((await agent.enroll(request)).id);
    return ids;
  };
  const mesh = workloadDelta(greedy.workload, shop.workload, modest.workload);
  return { a, b, c, stranger, greedy, enroll, mesh };
}

describe('shares of the table of connections', () => {
  const bed = new Bed();
  const { a, b, c, stranger, greedy, enroll, mesh } = town(bed);
  let agent: ReturnType<typeof agentOn>;
  let [GREEDY, SHOP, MODEST] = [0, 0, 0];
  let greed: Crowd;
  let modesty: Crowd;

  const live = (id: number): number => agent.agent.kernelMaps().shares.get(id)?.live ?? 0;
  const all = (): number => agent.agent.kernelMaps().totalShare.get(0)?.live ?? 0;
  const idle = async (): Promise<void> => assert.ok(await eventually(() => all() === 0, 2_000), `${all()} still count`);

  before(async () => {
    agent = agentOn(bed);
    [GREEDY = 0, SHOP = 0, MODEST = 0] = await enroll(agent);
    agent.takeOver();
    agent.agent.applyMesh(mesh, true);
    await bed.app(b.netnsPath, 'echo-server', { port: 8080 }).line();
    [greed, modesty] = [await Crowd.of(bed, a.netnsPath), await Crowd.of(bed, c.netnsPath)];
    assert.deepEqual(await greed.hold(1, b.ip4), { open: 1 }); // the verdict is cached from here on, and the next are direct
    await modesty.hold(1, b.ip4);
    await Promise.all([greed.drop(), modesty.drop()]);
    await idle();
  });
  after(async () => {
    agent?.stop();
    await bed.down();
  });

  test('the agent writes what is assured and what is open, for the workloads there are', async () => {
    const { limits } = agent.agent.kernelMaps();
    assert.ok(await eventually(() => limits.get(0)?.liveAssured === kernelLimits(3, 1).liveAssured, 3_000));
    assert.deepEqual(limits.get(0), kernelLimits(3, 9_500));
    limits.set(0, SMALL);
  });

  test('S15: one who fills the table is refused at connect(), and each other still has what is assured to it', async () => {
    assert.deepEqual(await greed.hold(60, b.ip4), { ECONNREFUSED: 40, open: 20 });
    assert.deepEqual([live(GREEDY), all(), agent.agent.kernelMaps().flows.entries().length], [20, 20, 20]);
    assert.deepEqual(await modesty.hold(9, b.ip4), { ECONNREFUSED: 4, open: 5 });
    assert.deepEqual([live(MODEST), all()], [5, 25]);
  });

  test('S15: what ends is given back once, and its place is free again', async () => {
    await modesty.drop();
    assert.ok(await eventually(() => live(MODEST) === 0, 2_000));
    assert.deepEqual([live(GREEDY), all()], [20, 20]);
    await greed.drop();
    await idle();
    assert.deepEqual(await modesty.hold(30, b.ip4), { ECONNREFUSED: 10, open: 20 }, 'free room is whoever wants it');
    await modesty.drop();
    await idle();
  });

  test('S15: plain text from outside counts for the workload that it reaches, and is refused at its SYN', async () => {
    const outside = await Crowd.of(bed, stranger.netnsPath, false);
    const outcome = await outside.hold(60, b.ip4);
    // Handshakes that are under way together may pass together: no more than the client begins at once.
    assert.ok(
      (outcome.open ?? 0) >= 20 && (outcome.ECONNREFUSED ?? 0) > 0 && (outcome.open ?? 0) <= 20 + 64,
      JSON.stringify(outcome),
    );
    assert.deepEqual([live(SHOP), live(GREEDY)], [outcome.open, 0]);
    assert.equal(agent.agent.kernelMaps().flows.entries().length, outcome.open, 'whatever was let in can be closed');
    assert.deepEqual(await greed.hold(9, b.ip6), { ECONNREFUSED: 4, open: 5 }, 'and others have what is assured to them');
    await Promise.all([outside.drop(), greed.drop()]);
    await idle();
  });

  test('S15: an agent that takes over finds the counts as they are', async () => {
    assert.deepEqual(await greed.hold(7, b.ip4), { open: 7 });
    agent.stop();
    agent = agentOn(bed);
    assert.deepEqual(await enroll(agent), [GREEDY, SHOP, MODEST]);
    agent.takeOver();
    agent.agent.applyMesh(mesh, true);
    assert.deepEqual([live(GREEDY), all()], [7, 7]);
    await greed.drop();
    await idle();
    agent.agent.kernelMaps().limits.set(0, SMALL);
  });

  test('S15: what the agent carries has a share of its own', async () => {
    agent.stop();
    agent = agentOn(bed); // no mesh is told to it yet: what it is handed waits
    await enroll(agent);
    agent.takeOver();
    const maps = agent.agent.kernelMaps();
    maps.limits.set(0, SMALL);
    maps.config.set(0, { ...(maps.config.get(0) ?? assert.fail()), flags: 1 });
    const outcome = await greed.hold(30, '10.77.0.99');
    assert.deepEqual(outcome, { ECONNREFUSED: 20, open: 10 });
    assert.equal(maps.shares.get(GREEDY)?.carried, 10);
    assert.deepEqual(await modesty.hold(5, '10.77.0.99'), { ECONNREFUSED: 2, open: 3 });
    await Promise.all([greed.drop(), modesty.drop()]);
    assert.ok(await eventually(() => maps.totalShare.get(0)?.carried === 0, 2_000));
    agent.agent.applyMesh(mesh, true);
  });

  test('S15: with the workload its share goes, and what was open then is still given back to the node', async () => {
    await greed.hold(4, b.ip4);
    agent.agent.leave(greedy.request.uid);
    assert.equal(agent.agent.kernelMaps().shares.get(GREEDY), null);
    await greed.drop();
    await idle();
  });
});

describe('a table that is full all the same', () => {
  const dir = mkdtempSync(join(tmpdir(), 'weft-small-'));
  const bed = new Bed();
  const { a, b, stranger, enroll, mesh } = town(bed);
  let agent: ReturnType<typeof agentOn>;

  before(async () => {
    cpSync(join(ROOT, 'bpf'), dir, { recursive: true });
    const header = join(dir, 'lib/flow.h');
    writeFileSync(header, readFileSync(header, 'utf8').replace('1048576', '16'));
    execFileSync(join(ROOT, 'scripts/compile-bpf'), [join(dir, 'attach'), join(dir, 'out')], { stdio: 'pipe' });
    agent = agentOn(bed, { objectsDir: join(dir, 'out') });
    await enroll(agent);
    agent.takeOver();
    agent.agent.applyMesh(mesh, true);
    await bed.app(b.netnsPath, 'echo-server', { port: 8080 }).line();
  });
  after(async () => {
    agent?.stop();
    rmSync(dir, { recursive: true, force: true });
    await bed.down();
  });

  const remembered = (): number => agent.agent.kernelMaps().flows.entries().length;

  for (const [who, captured] of [
    ['of this node', true],
    ['from outside, in plain text', false],
  ] as const) {
    test(`S15: a connection ${who} that cannot be remembered is refused, or cut at once`, async () => {
      const crowd = await Crowd.of(bed, captured ? a.netnsPath : stranger.netnsPath, captured);
      await crowd.hold(1, b.ip4);
      await crowd.drop();
      assert.ok(await eventually(() => remembered() === 0, 2_000));
      await crowd.hold(40, b.ip4);
      agent.readEvents();
      assert.ok(await eventually(async () => (await crowd.open()) === 16, 2_000), 'no more are open than are remembered');
      assert.equal(remembered(), 16);
      await crowd.drop();
      assert.ok(await eventually(() => remembered() === 0, 2_000));
    });
  }
});

describe('clients that are presented', () => {
  const bed = new Bed();
  const { a, b, enroll, mesh } = town(bed);
  let agent: ReturnType<typeof agentOn>;

  before(async () => {
    agent = agentOn(bed);
    await enroll(agent);
    agent.takeOver();
    agent.agent.applyMesh(mesh, true);
    await bed.app(b.netnsPath, 'deferring-server', { port: 8080 }).line();
  });
  after(async () => {
    agent?.stop();
    await bed.down();
  });

  test('S15: of clients that reset before a deferring listener accepts, nothing stays', async () => {
    const { peers, verdicts } = agent.agent.kernelMaps();
    const greed = await Crowd.of(bed, a.netnsPath);
    let seen = 0;
    for (let round = 0; round < 5; round++) {
      for (const [key] of verdicts.entries()) verdicts.delete(key); // so that the agent carries the next
      await greed.hold(20, b.ip4);
      seen = Math.max(seen, peers.entries().length);
      await greed.reset();
    }
    assert.ok(seen > 0, 'the agent wrote them down');
    assert.ok(await eventually(() => peers.entries().length === 0, 3_000), `${peers.entries().length} are left`);
  });

  test('S15: an agent that takes over clears what a former one left', async () => {
    agent.agent
      .kernelMaps()
      .peers.set({ netnsCookie: 1n, ip: parseIp('10.77.0.2'), port: 1 }, { ip: parseIp('10.77.0.1'), port: 2 });
    agent.stop();
    agent = agentOn(bed);
    assert.deepEqual([agent.adopted, agent.agent.kernelMaps().peers.entries()], [true, []]);
  });
});
