import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join, matchesGlob } from 'node:path';
import test from 'node:test';
import { filesBelow, ROOT, type SourceFile } from './source-files.ts';

/** The globs that a variable of the Makefile holds, each in single quotes so that Node expands it, not the shell. */
function globsOf(makefile: string, variable: string): string[] {
  const line = new RegExp(`^${variable} := (.*)$`, 'm').exec(makefile)?.[1] ?? '';
  return [...line.matchAll(/'([^']+)'/g)].map(([, glob]) => glob ?? '');
}

function missedBy(globs: readonly string[], files: readonly SourceFile[]): string[] {
  const looksLikeTest = (path: string) => /[._-](test|spec)\.[cm]?[jt]s$/.test(path) || /(^|\/)__tests__\//.test(path);
  return files.map(({ path }) => path).filter((path) => looksLikeTest(path) && !globs.some((glob) => matchesGlob(path, glob)));
}

const globs = globsOf(readFileSync(join(ROOT, 'Makefile'), 'utf8'), 'TEST_GLOBS');

test('make test picks up every test file', () => {
  assert.ok(globs.length > 0, 'the Makefile has no TEST_GLOBS');
  assert.deepEqual(missedBy(globs, filesBelow('', ['.ts', '.js', '.mts', '.mjs'])), []);
});

const missed = ['examples/rate.test.ts', 'src/model/rate.spec.ts', 'src/model/rate_test.ts', 'test/kernel/load.test.js'];
for (const path of missed) {
  test(`the glob test sees that ${path} would never run`, () => assert.deepEqual(missedBy(globs, [{ path, text: '' }]), [path]));
}

test('no test is switched off or singled out', () => {
  const marks = /\b(test|it|describe|suite)\.(only|skip|todo)\(|\b(only|todo): true/;
  const found = filesBelow('', ['.test.ts']).filter(({ path, text }) => !path.includes('test-files.test') && marks.test(text));
  assert.deepEqual(
    found.map(({ path }) => path),
    [],
  );
});
