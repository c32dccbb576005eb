import assert from 'node:assert/strict';
import { appendFile, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { planLab } from '#testbed/nodes/plan.ts';
import { chooseLogs, type LogChoice, readLogs } from './logs.ts';

const dir = await mkdtemp(join(tmpdir(), 'weft-lab-logs-'));
const plan = planLab('ab12cd', dir, dir);
const log = (name: string): string => join(dir, `${name}.log`);
const places = {
  control: { log: log('control') },
  nodes: { alpha: { log: log('alpha') }, beta: { log: log('beta') } },
  outside: { log: log('outside') },
  waypoints: join(dir, 'waypoints'),
};

before(async () => {
  await mkdir(places.waypoints);
  await writeFile(join(places.waypoints, 'waypoint-shop.reviews.log'), 'GET /reviews\n');
  await writeFile(log('alpha'), 'src.workload=web dst.workload=db\nsrc.workload=web-2\n');
  await writeFile(log('beta'), 'workload=default/web enrolled\nunfinished web');
});
after(() => rm(dir, { recursive: true }));

function collected(): { text(): string; out(part: string): void } {
  const parts: string[] = [];
  return { text: () => parts.join(''), out: (part) => void parts.push(part) };
}

async function shown(choice: LogChoice): Promise<string> {
  const { text, out } = collected();
  await readLogs(choice, out, null);
  return text();
}

for (const name of ['waypoint', 'shop.reviews']) {
  test(`the log of the only waypoint is that of ${name}`, async () =>
    assert.equal(await shown(await chooseLogs(name, places, plan)), 'GET /reviews\n'));
}

test('a node has its own log, whole lines only', async () =>
  assert.equal(await shown(await chooseLogs('beta', places, plan)), 'workload=default/web enrolled\n'));

test('of a workload every line of any part that names it is shown, and none that names another', async () => {
  const choice = await chooseLogs('web', places, plan, async () => ['db', 'web']);
  assert.equal(
    await shown(choice),
    'alpha        | src.workload=web dst.workload=db\nbeta         | workload=default/web enrolled\n',
  );
});

test('a workload that has ended is found by what was told of it', async () =>
  assert.match(await shown(await chooseLogs('web-2', places, plan, async () => [])), /^alpha +\| src\.workload=web-2\n$/));

test('a name that is nothing is told with all there is', async () => {
  const nothing = chooseLogs('queue', places, plan, async () => ['db', 'web']);
  await assert.rejects(nothing, { code: 'WEFT_LAB_PART', remedy: /: control, alpha, beta, outside, shop\.reviews, db, web$/ });
});

test('following shows what is added, in whole lines, until it is told to end', async () => {
  const path = log('followed');
  const ending = new AbortController();
  const { text, out } = collected();
  const steps = [
    () => writeFile(path, 'one\ntw'),
    async () => assert.equal(text(), 'one\n'),
    () => appendFile(path, 'o\nthree\n'),
    async () => ending.abort(),
  ];
  await readLogs({ files: [{ part: 'x', path }], wanted: () => true }, out, ending.signal, async () => steps.shift()?.());
  assert.equal(text(), 'one\ntwo\nthree\n');
});
