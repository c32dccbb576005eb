import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { cgroup2MountsIn } from '#platform/preflight/facts.ts';
import { command } from '#testbed/processes/command.ts';
import { leftoversOf, nodesDown, nodesUp, sweepDeadLabs } from './nodes.ts';
import { CONTROL_HOST, type LabPlan, labIdOf, nodeOf, OUTSIDE_4, OUTSIDE_6, OWNER_FILE, planLab } from './plan.ts';

const [mount = null] = cgroup2MountsIn(await readFile('/proc/mounts', 'utf8'));
const missing = process.getuid?.() !== 0 ? 'needs root' : mount === null ? 'needs cgroup v2' : false;

async function withFabric(body: (plan: LabPlan) => Promise<void>): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), 'weft-fabric-'));
  const plan = planLab(randomBytes(3).toString('hex'), dir, mount ?? '');
  try {
    await nodesUp(plan);
    await body(plan);
  } finally {
    await nodesDown(plan, false);
    await rm(dir, { recursive: true });
  }
}

const inNetns = (netns: string, ...line: string[]): string[] => ['nsenter', `--net=/run/netns/${netns}`, ...line];

test('nodes reach each other, the control plane and the outside host over both families', { skip: missing }, () =>
  withFabric(async (plan) => {
    const [alpha, beta] = [nodeOf(plan, 'alpha'), nodeOf(plan, 'beta')];
    const routes: [string, string, string][] = [
      [alpha.netns, beta.link4, 'dev wire'],
      [alpha.netns, beta.link6, 'dev wire'],
      [alpha.netns, '10.89.2.7', 'dev wire'],
      [alpha.netns, 'fd89:0:0:2::7', 'dev wire'],
      [beta.netns, CONTROL_HOST, 'dev mgmt'],
      [beta.netns, OUTSIDE_4, 'dev out'],
      [alpha.netns, OUTSIDE_6, 'dev out'],
      [plan.outsideNetns, '10.89.1.7', 'dev out1'],
      [plan.ctlNetns, 'fd89:0:0:2::7', 'dev mgmt2'],
    ];
    for (const [netns, to, want] of routes) {
      assert.match(await command(['ip', '-n', netns, 'route', 'get', to]), new RegExp(want), `${netns} to ${to}`);
    }
    for (const to of [beta.link4, beta.link6, CONTROL_HOST, OUTSIDE_4, OUTSIDE_6]) {
      // Nobody listens there: an answer at all, and a refusal at that, shows that packets go both ways.
      const dial = `net.connect(9, '${to}').setTimeout(2000, () => process.exit(1)).on('error', (e) => console.log(e.code))`;
      assert.equal(await command(inNetns(alpha.netns, process.execPath, '-e', dial)), 'ECONNREFUSED\n', to);
    }
  }),
);

test(
  'a lab removes processes, nested cgroups and workload namespaces that others made, and may be removed twice',
  { skip: missing },
  () =>
    withFabric(async (plan) => {
      const alpha = nodeOf(plan, 'alpha');
      const linked = `weft-test-${plan.id}`;
      const unlinked = `weft-${alpha.meshName}-0123456789`;
      for (const netns of [linked, unlinked]) await command(['ip', 'netns', 'add', netns]);
      await command(['ip', '-n', alpha.netns, 'link', 'add', 'w1', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', linked]);
      const nested = join(alpha.cgroup, 'one/two');
      await command(['mkdir', '-p', nested]);
      const child = spawn('sleep', ['60'], { stdio: 'ignore' });
      await writeFile(join(nested, 'cgroup.procs'), String(child.pid));
      const ended = new Promise((resolve) => child.once('exit', (_, signal) => resolve(signal)));

      assert.ok((await leftoversOf(plan)).length > 5);
      await nodesDown(plan, false);

      assert.equal(await ended, 'SIGKILL');
      assert.deepEqual(await leftoversOf(plan), []);
      assert.ok(!(await command(['ip', 'netns', 'list'])).includes(plan.id));
      await nodesDown(plan, false);
    }),
);

test('a sweep removes the remains of dead labs and leaves live ones alone', { skip: missing }, () =>
  withFabric(async (dead) => {
    const dir = join(dead.runDir, '..');
    const live = planLab('zzzzzz', dir, mount ?? '');
    const sweeper = planLab('yyyyyy', dir, mount ?? '');
    await nodesUp(live);
    try {
      await writeFile(join(dead.runDir, OWNER_FILE), '999999999:1');
      assert.deepEqual(await sweepDeadLabs(sweeper), [dead.id]);
      assert.deepEqual(await leftoversOf(dead), []);
      assert.notDeepEqual(await leftoversOf(live), []);
    } finally {
      await nodesDown(live, false);
    }
  }),
);

const names = [
  { name: 'weft-lab-ab12cd', want: 'ab12cd' },
  { name: 'weft-lab-ab12cd-alpha', want: 'ab12cd' },
  { name: 'weft-alpha-ab12cd-0123456789', want: 'ab12cd' },
  { name: 'weft-lab-ab12cdefghijk', want: null },
  { name: 'weft-other-ab12cd', want: null },
];
for (const { name, want } of names) test(`the lab of "${name}" is ${want}`, () => assert.equal(labIdOf(name), want));
