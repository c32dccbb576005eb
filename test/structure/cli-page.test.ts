import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { referencePage, shellPages } from './cli-page.ts';
import { matchesGolden } from './golden.ts';
import { ROOT } from './source-files.ts';

test('docs/cli.md is what the definitions of the commands say', () => matchesGolden(join(ROOT, 'docs/cli.md'), referencePage()));

test('the manual and the completions of shells are what the definitions of the commands say', () => {
  for (const [path, text] of shellPages()) matchesGolden(join(ROOT, path), text);
  const kept = ['man', 'completions'].flatMap((folder) =>
    readdirSync(join(ROOT, 'packaging', folder)).map((name) => `packaging/${folder}/${name}`),
  );
  assert.deepEqual(
    kept.sort(),
    [...shellPages().keys()].sort(),
    'node scripts/cli-page.ts removes pages of commands that are gone',
  );
});

test('H7: every example runs its workload as a user of its own', () => {
  const pages = [referencePage(), readFileSync(join(ROOT, 'README.md'), 'utf8'), readFileSync(join(ROOT, 'docs/lab.md'), 'utf8')];
  const examples = pages.flatMap((page) => page.match(/^ *(?:bin\/)?weft (?:lab )?run .* -- \w.*$/gm) ?? []);
  const usage = /<command/;
  const bare = examples.filter((line) => !usage.test(line) && !line.includes('--user '));
  assert.deepEqual(bare, []);
  assert.ok(examples.length >= 6, `${examples.length} examples were found`);
});
