import assert from 'node:assert/strict';
import test from 'node:test';
import { explainDeparture, planMesh, type UpOptions, welcome } from './up.ts';

const OPTIONS: UpOptions = {
  directory: 'mesh/',
  runDir: '/run/weft',
  stateDir: '/var/lib/weft',
  node: null,
  pool4: '10.41.0.0/24',
  pool6: 'fd41:0:0:1::/64',
  trustDomain: 'cluster.local',
  pathNormalization: 'BASE',
  rateLimitService: null,
  accessLogFormat: null,
  listen: { host: '::1', port: 15012 },
  detach: false,
};
const PLAN = planMesh(OPTIONS, 'laptop');

test('a mesh that is up says what runs, and what to type elsewhere', () => {
  const text = welcome(OPTIONS, PLAN);
  assert.match(text, /node laptop, control plane on \[::1\]:15012, resources from mesh\/\./);
  assert.match(text, /\n {2}weft run --user nobody --name web .*\n {2}weft status\n/);
});

test('a run directory of its own is part of what to type', () => {
  const text = welcome({ ...OPTIONS, runDir: '/tmp/r' }, PLAN);
  assert.match(text, /\n {2}weft run --run-dir \/tmp\/r --user nobody --name web .*\n {2}weft status --run-dir \/tmp\/r\n/);
});

test('H3: in the background it says where its log is, and what ends it', () => {
  const text = welcome({ ...OPTIONS, runDir: '/tmp/r', stateDir: '/tmp/s', detach: true }, PLAN);
  assert.match(text, /log is \/var\/lib\/weft\/logs\/up\.log/);
  assert.match(text, /\n {2}weft uninstall --yes --keep-state --run-dir \/tmp\/r --state-dir \/tmp\/s\n/);
  assert.doesNotMatch(text, /Ctrl-C/);
});

test('a part that was told to leave takes the mesh with it, and that is no failure', () => {
  const text = explainDeparture({ name: 'the agent', ending: 'with exit code 0', exitCode: 0 }, true);
  assert.equal(text, 'weft: the agent was told to leave, so the mesh ends\n');
});

for (const { wasUp, says } of [
  { wasUp: true, says: 'the agent ended by SIGKILL' },
  { wasUp: false, says: 'the agent ended by SIGKILL before the mesh was up' },
]) {
  test(`a part that broke is an error: ${says}`, () => {
    assert.throws(() => explainDeparture({ name: 'the agent', ending: 'by SIGKILL', exitCode: 1 }, wasUp), {
      code: 'WEFT_UP_FAILED',
      message: says,
      remedy: 'see what it told above',
    });
  });
}
