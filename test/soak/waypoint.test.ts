import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { PORT } from '#model/mesh/ports.ts';
import { WAYPOINT } from '#model/settings/waypoints.ts';
import type { App } from '#testbed/lab/app.ts';
import type { NodeName } from '#testbed/nodes/plan.ts';
import { command } from '#testbed/processes/command.ts';
import { inNetnsOf } from '#testbed/processes/command-lines.ts';
import { waitUntil } from '#testbed/processes/wait.ts';
import { ask } from '../security/dialling.testing.ts';
import { AttackedMesh } from '../security/mesh.testing.ts';
import { GATEWAY_YAML, waypointLog } from '../security/waypoint.testing.ts';
import { ANSWERERS, NAMESPACE, routesOf, servicesYaml, versionYaml } from './mixed/versions.ts';

// `make soak MINUTES=5` says how long.

const SECONDS = Number(process.env.WEFT_WAYPOINT_SOAK_SECONDS ?? 12);
const WARM_MS = Math.min(60_000, 300 * SECONDS);
/** In the short form the configuration changes alone: that a replaced waypoint loses no call is what F3 shows (faults/03-waypoint). */
const IS_REPLACED = process.env.WEFT_WAYPOINT_SOAK_SECONDS !== undefined;
/** How long the former waypoint is gone before the next one goes, too. */
const REPLACEMENT_PAUSE_MS = SECONDS > 120 ? 50_000 : 1_000;
const VERSION_MS = 1_000;
const CALLERS = 2;
const [SETTLE_MS, FINISH_MS] = [30_000, 60_000];
/** What comes to be known of an end later than it is. */
const KNOWN_MS = 1_000;
/** Of a process that is as old as its yardstick, or younger. */
const MEMORY_GROWTH_MAX = 1.3;
/** Idle connections to apps stay a while: as many as there were calls at one time, which is not twice the same. */
const IDLE_UNSURE = 24;
const PROBLEMS_TOLD_MAX = 30;
const CLIENTS = { near: 'alpha', far: 'beta' } as const satisfies Record<string, NodeName>;

type Counts = Readonly<Record<string, number>>;
type Tally = { answers: Counts; messages: Counts; repeated: Counts; refused: number; cut: number; wrong: number };
type Cut = { by: string; way: string; how: string; atMs: number };
/** What a process holds at rest. */
type Held = { memoryKib: number; descriptors: number };

const program = (name: string, ...args: string[]): string[] => [
  process.execPath,
  join(import.meta.dirname, 'mixed', `${name}.ts`),
  ...args,
];

/** Both nodes call, through a waypoint on one of them, apps on both. */
describe(`a waypoint for ${SECONDS} s of mixed calls, a new configuration each second`, () => {
  let mesh: AttackedMesh;
  const clients: App[] = [];
  const problems: string[] = [];
  const cuts: Cut[] = [];
  /** When a waypoint was told to stop, and when it was gone. */
  const replaced: { pid: number; sinceMs: number; goneMs: number }[] = [];
  let version = 0;

  const waypointPid = (): number =>
    (JSON.parse(readFileSync(join(mesh.lab.paths.waypointDir, `${NAMESPACE}.waypoint.json`), 'utf8')) as { pid: number }).pid;
  const tellAll = (line: string, waitMs = SETTLE_MS): Promise<object[]> =>
    Promise.all(clients.map(({ child }) => ask<object>(child, line, line.split(' ')[0] ?? '', waitMs)));

  /** The next version; returns when it is known to be in force. */
  async function change(): Promise<void> {
    const next = ++version;
    await tellAll(`may ${next}`);
    // As one, for whoever reads the file: it is beside the directory first.
    const aside = join(mesh.lab.configDir, '..', 'version.yaml');
    writeFileSync(aside, versionYaml(next));
    renameSync(aside, join(mesh.lab.configDir, 'version.yaml'));
    await waitUntil(`version ${next} at the waypoint`, SETTLE_MS, async () => {
      const { conditions, connections, findings } = await mesh.controlStatus();
      for (const { severity, resource, message } of findings) assert.notEqual(severity, 'error', `${resource}: ${message}`);
      const isKnown = routesOf(next).every((route) =>
        conditions.some(({ resource, type }) => resource === route && type === 'Accepted'),
      );
      return isKnown && connections.every(({ upToDate }) => upToDate);
    });
    await tellAll(`must ${next}`);
  }

  async function keepChanging(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) await Promise.all([change(), sleep(VERSION_MS)]);
  }

  async function keepReplacing(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const pid = waypointPid();
      const sinceMs = Date.now();
      process.kill(pid, 'SIGTERM');
      const goneWithinMs = WAYPOINT.followedMs + WAYPOINT.drainMs + SETTLE_MS;
      await waitUntil('another waypoint, alone', goneWithinMs, () => !existsSync(`/proc/${pid}`));
      replaced.push({ pid, sinceMs, goneMs: Date.now() });
      if (!existsSync(`/proc/${waypointPid()}`)) problems.push(`waypoint ${pid} ended before another one was there`);
      await sleep(REPLACEMENT_PAUSE_MS, undefined, { signal }).catch(() => {}); // it ends
    }
  }

  /** Calls for so long, and whatever else is to go on meanwhile; then nothing is under way. */
  async function soak(ms: number, ...others: ((signal: AbortSignal) => Promise<void>)[]): Promise<Tally[]> {
    await tellAll('begin');
    const ending = new AbortController();
    const running = others.map((one) => one(ending.signal).catch((error: unknown) => problems.push(String(error))));
    await sleep(ms);
    ending.abort();
    await Promise.all(running);
    return (await tellAll('finish', FINISH_MS)).map((one) => (one as { finish: Tally }).finish);
  }

  const gauge = async (name: string): Promise<number> => {
    const page = await command(inNetnsOf(waypointPid(), ['curl', '-sSf', '-m', '5', `http://127.0.0.1:${PORT.stats}/metrics`]));
    return Number(new RegExp(`^${name} (\\d+)$`, 'm').exec(page)?.[1]);
  };

  /** What each process holds once nothing is under way. */
  async function atRest(t: TestContext): Promise<Record<string, Held>> {
    for (const name of ['weft_requests_active', 'weft_downstream_connections'])
      await waitUntil(`rest: ${name}`, SETTLE_MS, async () => (await gauge(name)) === 0);
    const pids = {
      waypoint: waypointPid(),
      alpha: mesh.lab.agent('alpha').pid,
      beta: mesh.lab.agent('beta').pid,
      control: mesh.lab.control.pid,
    };
    const held = Object.fromEntries(Object.entries(pids).map(([name, pid]) => [name, heldBy(pid)]));
    t.diagnostic(JSON.stringify(held));
    return held;
  }

  before(async () => {
    mesh = await AttackedMesh.up({ 'services.yaml': servicesYaml(), 'gateway.yaml': GATEWAY_YAML });
    for (const [at, name] of ANSWERERS.entries()) {
      const labels = { app: 'mixed', version: name };
      await mesh.start({ name, node: at === 0 ? 'alpha' : 'beta', labels, command: program('server', name) });
    }
    await mesh.lab.waypointsReady();
    for (const [name, node] of Object.entries(CLIENTS)) {
      const client = await mesh.start({ name, node, command: program('client', String(CALLERS)) });
      client.child.onLine((line) => {
        if (line.startsWith('{"wrong"')) problems.push(`${name}: ${line}`);
        if (!line.startsWith('{"cut"')) return;
        const { cut: way, ...rest } = JSON.parse(line) as { cut: string; how: string; atMs: number };
        cuts.push({ by: name, way, ...rest });
      });
      clients.push(client);
    }
    await change();
  });
  after(() => mesh?.down());

  test(`every answer is one that the configuration asks for, through changes${IS_REPLACED ? ' and replacements' : ''}, and everything is given back`, async (t) => {
    await soak(WARM_MS, keepChanging);
    const warm = await atRest(t);
    const tallies = await soak(1_000 * SECONDS - WARM_MS, keepChanging, ...(IS_REPLACED ? [keepReplacing] : []));
    const end = await atRest(t);
    for (const tally of tallies) t.diagnostic(JSON.stringify(tally));
    t.diagnostic(`${version} versions, ${replaced.length} replacements`);
    // A stream that stays is ended when its waypoint is, after the time for what is under way, and at no other time.
    const isRight = ({ atMs }: Cut): boolean =>
      replaced.some(({ sinceMs, goneMs }) => atMs >= sinceMs + WAYPOINT.drainMs && atMs <= goneMs + KNOWN_MS);
    problems.push(...cuts.filter((one) => !isRight(one)).map((one) => `cut: ${JSON.stringify(one)}`));
    if (problems.length > 0) {
      t.diagnostic(`replaced: ${JSON.stringify(replaced)}`);
      for (const line of (await waypointLog(mesh))
        .split('\n')
        .filter((one) => /WARN|ERROR/.test(one))
        .slice(0, PROBLEMS_TOLD_MAX))
        t.diagnostic(line.slice(0, 2_000));
    }
    assert.deepEqual(problems.slice(0, PROBLEMS_TOLD_MAX), []);
    assert.ok(!(await waypointLog(mesh)).includes('a mistake of this program'));
    for (const { answers, messages, refused, wrong } of tallies) {
      assert.equal(wrong, 0);
      assert.deepEqual(Object.keys(answers).sort(), ['grpc', 'http1', 'http2']);
      assert.deepEqual(Object.keys(messages).sort(), ['talk', 'websocket1', 'websocket2']);
      assert.ok(refused > 0 && Math.min(...Object.values(answers)) > 20, 'it was no soak');
    }
    assert.ok((!IS_REPLACED || replaced.length > 0) && version > 2, 'nothing changed');
    for (const [name, { memoryKib, descriptors }] of Object.entries(end)) {
      const before = warm[name] as Held;
      assert.ok(memoryKib < MEMORY_GROWTH_MAX * before.memoryKib, `${name}: ${before.memoryKib} KiB before, ${memoryKib} after`);
      assert.ok(
        descriptors <= before.descriptors + IDLE_UNSURE,
        `${name}: ${before.descriptors} descriptors before, ${descriptors} after`,
      );
    }
  });
});

function heldBy(pid: number): Held {
  const memoryKib = Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);
  return { memoryKib, descriptors: readdirSync(`/proc/${pid}/fd`).length };
}
