import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { App } from '#testbed/lab/app.ts';
import { NODE_NAMES, type NodeName } from '#testbed/nodes/plan.ts';
import type { Child } from '#testbed/processes/child.ts';
import { cpuTimeOf, slownessSince } from '#testbed/processes/cpu-time.ts';
import { waitUntil } from '#testbed/processes/wait.ts';
import { ask } from '../security/dialling.testing.ts';
import { AttackedMesh, serviceYaml } from '../security/mesh.testing.ts';
import { type CountedMap, type Held, heldBy, OF_CONNECTIONS, OF_PAIRS, OF_TURNS, warnings } from './agents.testing.ts';
import { Flips } from './flips.testing.ts';

// `make soak MINUTES=5 CONNECTIONS=10000` says how long and how many; `SEED=n` draws the same again.

const SECONDS = Number(process.env.WEFT_SOAK_SECONDS ?? 12);
const CONNECTIONS = Number(process.env.WEFT_SOAK_CONNECTIONS ?? 800);
const SEED = Number(process.env.SEED ?? Date.now() % 1_000_000);
/** An agent that may open 20,000 descriptors carries 9,500 connections, of one workload three quarters; each connection goes through two. */
const OF_A_NODE_MAX = 7_000;
const NODES = NODE_NAMES.slice(0, CONNECTIONS > OF_A_NODE_MAX / 2 ? 3 : 2);
/** New connections a second, in all, about which a crowd makes: two cores are to have something left, or all is late. */
const NEW_PER_SECOND = 150;
const LIFE_MS = (1_000 * CONNECTIONS) / NEW_PER_SECOND;
const [TALKERS, MORTALS, TALKER_LIFE_MS] = [20, 20, 1_000];
const PORT = { crowd: 7, mortal: 8, stallers: 7, talkers: 9 } as const;
/** So many readers stop at once, for so long: what they do not read is more than a tunnel may carry unread. */
const [STALLERS, STALLER_LIFE_MS] = [8, 5_000];
const KILL_PERIOD_MS = 2_000;
const WARM_MS = Math.min(60_000, 400 * SECONDS);
/** What is on its way when everything is brought to its end, with stalls that still go on. */
const FINISH_MS = 60_000;
const DELAY_MS_MAX = 1_000;
/** More of it is no excuse: the readers that stop together do so for longer. */
const SLOWNESS_MAX = 3;
/** On a machine that is slower than that: whoever is held up by readers that stop, which is most of the time, has most answers so late. */
const LATE_SHARE_MAX = 0.05;
const MEMORY_GROWTH_MAX = 1.2;
/** How many tunnels there are is told by both ends, one after the other, and one may come or go between: a leak is many more. */
const TUNNELS_UNSURE = 2;
const PROBLEMS_TOLD_MAX = 40;
const SETTLE_MS = 30_000;

type Told = Record<'open' | 'done' | 'reset' | 'cut' | 'refused' | 'stalled' | 'wrong' | 'bytesUp' | 'bytesDown', number> &
  Record<'dialMs' | 'answerMs' | 'answers' | 'over100Ms' | 'overSecond', number>;
type Served = Record<'connections' | 'open' | 'ended' | 'reset' | 'cut' | 'wrong' | 'bytes', number>;

const program = (name: string, ...args: (string | number)[]): string[] => [
  process.execPath,
  join(import.meta.dirname, 'apps', `${name}.ts`),
  ...args.map(String),
];
const vipOf = (at: number): string => `10.96.130.${at + 1}`;
const portsYaml = (name: string, vip: string): string =>
  serviceYaml(name, vip).replace(
    /ports: .*/,
    'ports: [{ name: tcp, port: 7, targetPort: 7000 }, { name: mortal, port: 8, targetPort: 7001 }, { name: talk, port: 9, targetPort: 7002 }]',
  );

const IDLE = ['sh', '-c', 'echo "{\\"event\\":\\"listening\\",\\"pid\\":$$}"; exec sleep 100000'];

/** Connections of every kind in a ring of nodes, each to the next; some have servers or clients that are killed. */
describe(`${CONNECTIONS} connections for ${SECONDS} s, seed ${SEED}`, () => {
  let mesh: AttackedMesh;
  const servers: App[] = [];
  const callers: App[] = [];
  const problems: string[] = [];
  let steady = new Map<NodeName, Held>();
  let seed = SEED * 1_000;

  const heard = (child: Child): Child => {
    child.onLine((line) => void (/^\{"wrong"/.test(line) && problems.push(`${child.name}: ${line}`)));
    return child;
  };
  /** A program beside another one, in the same workload. */
  const beside = (app: App, name: string, command: string[]): Child =>
    heard(mesh.lab.spawn({ name, command: mesh.insideLine(app.name, command), logPath: join(mesh.plan.logDir, name) }));
  const client = (at: number, who: keyof typeof PORT, count: number, lifeMs: number): string[] =>
    program('client', vipOf((at + 1) % NODES.length), PORT[who], count, lifeMs, ++seed, who);

  before(async () => {
    const yaml = [...NODES.map((node, at) => portsYaml(`server-${node}`, vipOf(at))), ...Flips.yaml(NODES)];
    mesh = await AttackedMesh.up({ 'services.yaml': yaml.join('---\n') }, NODES.length);
    for (const node of NODES) {
      servers.push(await mesh.start({ name: `server-${node}`, node, command: program('server', 7000) }));
      callers.push(await mesh.start({ name: `caller-${node}`, node, command: IDLE }));
    }
    for (const app of servers) {
      heard(app.child);
      beside(app, `talk-server-${app.name}`, program('server', 7002));
    }
  });
  after(() => mesh?.down());

  const eachHeld = async (): Promise<Map<NodeName, Held>> =>
    new Map(
      await Promise.all(
        NODES.map(
          async (node, at): Promise<[NodeName, Held]> => [node, await heldBy(mesh, node, [NODES.at(at - 1) as NodeName])],
        ),
      ),
    );
  const served = (): Promise<Served[]> =>
    Promise.all(servers.map(async ({ child }) => (await ask<{ served: Served }>(child, 'report', 'served')).served));

  /**
   * Runs the crowds, those that are timed, and those that are killed, for so long, and `also` what is to end then; then brings
   * everything to its end.
   */
  async function soak(
    ms: number,
    also: (signal: AbortSignal) => Promise<unknown> = async () => {},
  ): Promise<Record<'crowd' | 'talkers', Told>> {
    const start = (who: 'crowd' | 'stallers' | 'talkers', count: number, lifeMs: number): Child[] =>
      callers.map((app, at) => beside(app, `${who}-${at}-${seed}`, client(at, who, count, lifeMs)));
    const crowd = start('crowd', Math.ceil(CONNECTIONS / NODES.length), LIFE_MS);
    const stallers = start('stallers', STALLERS, STALLER_LIFE_MS);
    const talkers = start('talkers', TALKERS, TALKER_LIFE_MS);
    const killing = new AbortController();
    const killed = [...callers.keys()].map((at) => killAgainAndAgain(at, killing.signal));
    const others = also(killing.signal).catch((error: unknown) => problems.push(String(error)));
    await sleep(ms);
    killing.abort();
    await Promise.all([...killed, others]);
    const finished = async (children: Child[]): Promise<Told> => {
      const tell = async (child: Child): Promise<Told> => (await ask<{ told: Told }>(child, 'finish', 'told', FINISH_MS)).told;
      return sum(await Promise.all(children.map(tell)));
    };
    // First those whose answers are timed: of all others everything that is left comes at once then.
    const timed = await finished(talkers);
    const told = { crowd: await finished([...crowd, ...stallers]), talkers: timed };
    await Promise.all([...crowd, ...stallers, ...talkers].map((child) => child.stop()));
    return told;
  }

  /** A server and its clients beside the others; one of them is killed at a time, and another takes its place. */
  async function killAgainAndAgain(at: number, signal: AbortSignal): Promise<void> {
    const callee = servers[(at + 1) % NODES.length] as App;
    const startServer = (): Child => beside(callee, `mortal-server-${at}`, program('server', 7001, 'mortal'));
    const startClient = (): Child =>
      beside(callers[at] as App, `mortal-client-${at}`, client(at, 'mortal', MORTALS, TALKER_LIFE_MS));
    let [one, other] = [startServer(), startClient()];
    while (!signal.aborted) {
      await sleep(KILL_PERIOD_MS, undefined, { signal }).catch(() => {});
      one.signal('SIGKILL');
      await one.ended;
      one = startServer();
      await sleep(KILL_PERIOD_MS, undefined, { signal }).catch(() => {});
      other.signal('SIGKILL');
      await other.ended;
      other = startClient();
    }
    for (const child of [one, other]) {
      child.signal('SIGKILL');
      await child.ended;
    }
  }

  /** Waits until what connections took has been given back, tunnels apart, and returns what is held then. */
  async function settled(t: TestContext, before: Map<NodeName, Held>, maps = OF_CONNECTIONS): Promise<Map<NodeName, Held>> {
    let held = await eachHeld();
    await waitUntil('return of what connections took', SETTLE_MS, async () => {
      held = await eachHeld();
      return [...held].every(([node, now]) => kept(before.get(node) as Held, now, maps).length === 0);
    }).catch((error: unknown) => {
      for (const [node, now] of held) problems.push(`${node}: ${kept(before.get(node) as Held, now, maps).join(', ')}`);
      problems.push(String(error));
    });
    for (const [node, now] of held) t.diagnostic(`${node}: ${JSON.stringify(now)}`);
    return held;
  }

  test('every byte is right, nobody is delayed by others, and everything is given back', async (t) => {
    const young = await eachHeld();
    await soak(WARM_MS);
    const warm = await settled(t, young);
    const cpu = new Map(NODES.map((node) => [node, cpuTimeOf(mesh.lab.agent(node).pid)]));
    const { crowd, talkers } = await soak(1_000 * SECONDS - WARM_MS);
    const end = await settled(t, warm);
    steady = end;
    await waitUntil('end of every connection at the servers', SETTLE_MS, async () => sum(await served()).open === 0);
    const counted = sum(await served());
    for (const [who, told] of Object.entries({ crowd, talkers, servers: counted }))
      t.diagnostic(`${who}: ${JSON.stringify(told)}`);
    if (problems.length > 0) for (const node of NODES) for (const line of await warnings(mesh, node)) t.diagnostic(line);
    assert.deepEqual(problems.slice(0, PROBLEMS_TOLD_MAX), []);
    assert.equal(crowd.wrong + talkers.wrong + counted.wrong, 0);
    assert.ok(crowd.done > CONNECTIONS && crowd.reset > 0 && crowd.cut > 0 && crowd.stalled > 0, 'it was no soak');
    // Where agents wait for a CPU that others have, as everything else of the machine does, all of it takes so much longer.
    const slowness = Math.max(...NODES.map((node) => slownessSince(cpu.get(node), cpuTimeOf(mesh.lab.agent(node).pid))));
    const slowestMs = Math.max(talkers.dialMs, talkers.answerMs);
    t.diagnostic(`agents that had to wait took ${slowness.toFixed(2)} times as long`);
    const said = `the slowest answer took ${Math.round(slowestMs)} ms, ${talkers.overSecond} of ${talkers.answers} more than a second`;
    if (slowness > SLOWNESS_MAX) assert.ok(talkers.overSecond < LATE_SHARE_MAX * talkers.answers, said);
    else assert.ok(slowestMs < DELAY_MS_MAX * slowness, said);
    for (const [node, { memoryKib }] of end) {
      const before = (warm.get(node) as Held).memoryKib;
      assert.ok(memoryKib < MEMORY_GROWTH_MAX * before, `${node}: ${before} KiB before, ${memoryKib} after`);
    }
  });

  test('the same while policy turns and agents are replaced: nothing passes that is denied, and everything is given back', async (t) => {
    const flips = await Flips.start(mesh, NODES);
    await flips.replaceEach(); // one that begins knows no pairs but those of its workloads
    const young = await eachHeld();
    const { crowd } = await soak(1_000 * SECONDS, async (signal) => problems.push(...(await flips.run(signal))));
    assert.deepEqual(problems.slice(0, PROBLEMS_TOLD_MAX), []);
    await waitUntil('end of agents that were replaced', SETTLE_MS, () => flips.former.every((one) => one.ending() !== null));
    const borne = await settled(t, young, OF_TURNS);
    await flips.replaceEach();
    await settled(t, young, [...OF_TURNS, ...OF_PAIRS]);
    t.diagnostic(`${JSON.stringify(flips.counted)}, ${flips.former.length} agents replaced, crowd: ${JSON.stringify(crowd)}`);
    if (problems.length > 0) for (const node of NODES) for (const line of await warnings(mesh, node)) t.diagnostic(line);
    assert.deepEqual(problems.slice(0, PROBLEMS_TOLD_MAX), []);
    assert.equal(crowd.wrong + sum(await served()).wrong, 0);
    const { turns, answered, refused, cut } = flips.counted;
    assert.ok(crowd.done > 0 && turns > 0 && answered > 0 && refused > 0 && cut > 0, 'nothing turned');
    for (const [node, { memoryKib }] of borne) {
      const before = (steady.get(node) as Held).memoryKib; // of an agent that had borne as much: these are young
      assert.ok(memoryKib < MEMORY_GROWTH_MAX * before, `${node}: ${before} KiB before, ${memoryKib} after`);
    }
  });
});

/** What is held now and was not before, in words. */
function kept(before: Held, now: Held, maps: readonly CountedMap[]): string[] {
  const unsure = (kind: string): number => (kind === 'socket' ? TUNNELS_UNSURE : 0);
  const more = Object.entries(now.descriptors).filter(([kind, count]) => count > (before.descriptors[kind] ?? 0) + unsure(kind));
  const entries = maps.flatMap((map): [string, number][] =>
    now.entries[map] > before.entries[map] ? [[map, now.entries[map]]] : [],
  );
  return [
    ...[...more, ...entries].map(([what, count]) => `${what} ${count}`),
    ...(now.entries.shares > now.entries.workloads ? [`shares ${now.entries.shares}`] : []), // made for a workload's first connection
    ...(now.live > before.live || now.carried > before.carried ? [`live ${now.live}, carried ${now.carried}`] : []),
  ];
}

function sum<Counts extends Record<string, number>>(all: readonly Counts[]): Counts {
  const total: Record<string, number> = {};
  for (const one of all) {
    for (const [name, count] of Object.entries(one))
      total[name] =
        name.endsWith('Ms') && !name.startsWith('over') ? Math.max(total[name] ?? 0, count) : (total[name] ?? 0) + count;
  }
  return total as Counts;
}
