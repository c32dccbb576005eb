import assert from 'node:assert/strict';
import { join } from 'node:path';
import test from 'node:test';
import { matchesGolden } from './golden.ts';
import { citingFiles, provingFiles, rulePages } from './rule-pages.ts';
import { citedRules, ruleProblems, rulesIndex, untestedRules } from './rules.ts';
import { ROOT } from './source-files.ts';

test('every rule that code or a test cites is defined in docs/rules, once', () => {
  assert.deepEqual(ruleProblems(rulePages(), citingFiles()), []);
});

test('docs/rules/README.md tells the rules that no test names (node scripts/rules-page.ts)', () => {
  matchesGolden(join(ROOT, 'docs/rules/README.md'), rulesIndex(rulePages(), provingFiles()));
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
