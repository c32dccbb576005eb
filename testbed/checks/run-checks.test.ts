import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { Bookshop } from '#testbed/apps/bookshop.ts';
import { planLab } from '#testbed/nodes/plan.ts';
import { CHECK_TOOLS, LAB_TOOLS, requireTools } from '#testbed/processes/command.ts';
import { reports } from './bad-yaml.ts';
import { type Check, type CheckResult, expect } from './check.ts';
import { allChecks, allPassed, resultTable, runChecks, writeResults } from './run-checks.ts';

const NAMES =
  'direct hbone seen denied policy-change waypoint plaintext dns passthrough bystander agent-crash control-away bad-yaml cleanup';
const mesh = new Bookshop(planLab('ab12cd', '/nowhere', '/nowhere'));
const check = (name: string, run: Check['run'], timeoutMs = 1_000): Check => ({ name, path: '-', timeoutMs, run });
const run = (checks: readonly Check[], signal = new AbortController().signal): Promise<CheckResult[]> =>
  runChecks(mesh, checks, () => {}, signal);

test('every check of the issue is there, cleanup last', () => {
  assert.equal(
    allChecks([])
      .map(({ name }) => name)
      .join(' '),
    NAMES,
  );
});

test('a check that sees something else fails with what it saw, and the next one runs', async () => {
  const results = await run([
    check('a', async () => {
      expect(1 > 2, 'one is\nnot more than two');
      return 'never';
    }),
    check('b', async () => 'fine'),
  ]);
  assert.deepEqual(results, [
    { name: 'a', path: '-', ok: false, detail: 'one is not more than two' },
    { name: 'b', path: '-', ok: true, detail: 'fine' },
  ]);
  assert.equal(allPassed(results, 2), false);
});

test('an error that the check did not foresee is told with its name', async () => {
  const [result] = await run([check('a', async () => JSON.parse('{'))]);
  assert.match(result?.detail ?? '', /^SyntaxError: /);
});

test('a check that never ends fails after its time', async () => {
  const [result] = await run([check('a', () => new Promise(() => {}), 1)]);
  assert.match(result?.detail ?? '', /check a took longer than/);
});

test('an interruption ends the run before the next check, and the run does not pass', async () => {
  const interruption = new AbortController();
  const first = check('a', async () => {
    interruption.abort();
    return 'fine';
  });
  const results = await run([first, check('b', async () => 'fine')], interruption.signal);
  assert.equal(results.length, 1);
  assert.equal(allPassed(results, 2), false);
});

test('results are written as a table and as JSON', async () => {
  const results = [
    { name: 'direct', path: 'direct', ok: true, detail: 'all good' },
    { name: 'dns', path: '-', ok: false, detail: 'no answer' },
  ];
  assert.equal(
    resultTable(results),
    'CHECK   PATH    RESULT  SEEN\ndirect  direct  ok      all good\ndns     -       FAILED  no answer\n',
  );
  const dir = await mkdtemp(join(tmpdir(), 'weft-report-'));
  await writeResults(join(dir, 'checks.json'), false, results);
  assert.deepEqual(JSON.parse(await readFile(join(dir, 'checks.json'), 'utf8')), { ok: false, checks: results });
  await rm(dir, { recursive: true });
});

test('missing programs are all named, with the packages that have them', async () => {
  await assert.rejects(requireTools(LAB_TOOLS, '/nowhere'), {
    code: 'WEFT_TESTBED_TOOLS',
    message: /: ip, nsenter, mount, sysctl$/,
    remedy: /apt-get install iproute2 util-linux mount procps\)/,
  });
  await assert.rejects(requireTools(CHECK_TOOLS, '/nowhere'), { message: /tcpdump, bpftool$/ });
});

const finding = 'mesh/90-a.yaml:19:11: error: AuthorizationPolicy x spec.action: "DENNY" is none of ALLOW, DENY [CODE]';
const texts = [
  { name: 'two lines for a person', text: `${finding}\n  remedy: write DENY\n`, want: true },
  {
    name: 'a line of the log',
    text: '12:00 WARN control: rejected file=mesh/90-a.yaml line=19 column=3 remedy="write DENY"',
    want: true,
  },
  {
    name: 'a line of the log in JSON',
    text: '{"message":"rejected","file":"mesh/90-a.yaml","line":19,"remedy":"write DENY"}',
    want: true,
  },
  { name: 'another line number', text: 'mesh/90-a.yaml:191:3: error\n  remedy: x\n', want: false },
  { name: 'another file', text: 'mesh/91-a.yaml:19:3: error\n  remedy: x\n', want: false },
  { name: 'no remedy', text: finding, want: false },
];
for (const { name, text, want } of texts) {
  test(`${name} ${want ? 'is' : 'is no'} report of a mistake with its place`, () =>
    assert.equal(reports(text, '90-a.yaml', 19), want));
}
