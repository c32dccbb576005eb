import assert from 'node:assert/strict';
import { join } from 'node:path';
import test from 'node:test';
import { matchesGolden } from './golden.ts';
import { citingFiles, provingFiles, rulePages } from './rule-pages.ts';
import { ruleRows, ruleTable } from './rule-table.ts';
import { absentRules, citedRules, definedRules, ruleProblems, rulesIndex, untestedRules } from './rules.ts';
import { ROOT } from './source-files.ts';

test('every rule that code or a test cites is defined in docs/rules, once', () => {
  assert.deepEqual(ruleProblems(rulePages(), citingFiles()), []);
});

test('docs/rules/README.md tells the rules that no test names (node scripts/rules-page.ts)', () => {
  matchesGolden(join(ROOT, 'docs/rules/README.md'), rulesIndex(rulePages(), provingFiles()));
});

test('the rules of the node agent account for every behaviour of a ztunnel, B1 to B66: a test names it, or the page says why not', () => {
  const page = rulePages().filter(({ path }) => path.endsWith('/node-proxy.md'));
  const told = new Set(definedRules(page));
  assert.deepEqual(
    citedRules('B1-B66').filter((id) => !told.has(id)),
    [],
  );
  assert.deepEqual(untestedRules(page, provingFiles()), []);
});

test('code speaks of rules that are in the tree, not of documents that are not', () => {
  const elsewhere = /\bDESIGN\b|\bspec (?:node-proxy|control-plane|waypoint|kubernetes|ebpf)/;
  assert.deepEqual(
    citingFiles()
      .filter(({ path, text }) => !path.startsWith('test/structure/') && elsewhere.test(text))
      .map(({ path }) => path),
    [],
  );
});

const page = { path: 'docs/rules/a.md', text: '- **B1** One.\n- **B2** Two.\n- **config-api 3.6** Three.\n' };

test('the rule test sees a citation of what is not defined, in code and in the name of a test', () => {
  assert.equal(ruleProblems([page], [{ path: 'src/a.ts', text: '/** As B3 says. */' }]).length, 1);
  assert.equal(ruleProblems([page], [{ path: 'src/a.test.ts', text: "test('config-api 3.7: x', f)" }]).length, 1);
  assert.deepEqual(ruleProblems([page], [{ path: 'src/a.ts', text: '// B1, B2 and config-api 3.6' }]), []);
});

test('the rule test sees a rule that is defined twice', () => {
  assert.deepEqual(ruleProblems([page, { path: 'docs/rules/b.md', text: '- **B2** Again.' }], []), ['B2 is defined twice']);
});

test('the rule test sees a rule without a test', () => {
  assert.deepEqual(untestedRules([page], [{ path: 'src/a.test.ts', text: "test('B1: x', f)" }]), ['B2', 'config-api 3.6']);
});

const texts = [
  { text: 'B6-B9 and (W39)', cited: ['B6', 'B7', 'B8', 'B9', 'W39'] },
  { text: 'promise 2, config-api 1.10.', cited: ['promise 2', 'config-api 1.10'] },
  { text: '2001:DB8::B6 fe80:E1:: 0xE3 B1000 aB12 B12b', cited: [] },
];
for (const { text, cited } of texts) test(`citations are read from "${text}"`, () => assert.deepEqual(citedRules(text), cited));

const absentPage = { path: 'docs/rules/c.md', text: '- **B1** One.\n- **B4** Not here: somebody else does it.\n' };

test('the rule test sees a citation of a rule that is told not to be here, and wants no test of it', () => {
  assert.deepEqual(absentRules([absentPage]), ['B4']);
  assert.equal(ruleProblems([absentPage], [{ path: 'src/a.test.ts', text: "test('B4: x', f)" }]).length, 1);
  assert.deepEqual(untestedRules([absentPage], [{ path: 'src/a.test.ts', text: "// B1\ntest('x', f)" }]), ['B1']);
});

test('the table of rules comes from the names of the tests of a run, and one failure is the rule’s', () => {
  const run = [
    { name: 'B1, B2: x', file: 'src/a.test.ts', outcome: 'pass' },
    { name: 'B2: y', file: 'src/b.test.ts', outcome: 'FAIL' },
  ] as const;
  const rows = ruleRows([page, { ...absentPage, text: absentPage.text.replace(/^.*\n/, '') }], run);
  assert.deepEqual(
    rows.map(({ id, outcome, tests }) => [id, outcome, tests]),
    [
      ['B1', 'pass', 1],
      ['B2', 'FAIL', 2],
      ['config-api 3.6', 'none', 0],
      ['B4', 'absent', 0],
    ],
  );
  assert.match(ruleTable(rows), /^B2 +FAIL +2 +src\/a\.test\.ts src\/b\.test\.ts$/m);
  assert.match(ruleTable(rows), /^4 rules: 1 FAIL, 1 absent, 1 none, 1 pass$/m);
});
