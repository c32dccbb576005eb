import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import test from 'node:test';
import { corpusLine, corpusOf, runTarget } from './run-target.ts';
import { type FuzzTarget, require } from './target.ts';
import { TARGETS } from './targets/list.ts';

/** Few enough for `make test`; `make fuzz` runs on. The seed is fixed, so that a failure is the change's own. */
const RUNS = 1_500;
const SEED = 20_260_101;

for (const target of TARGETS) {
  test(`fuzz: ${target.name} keeps its promises on its corpus and on mutants of it`, async () => {
    const { failure } = await runTarget(target, corpusOf(target.name), { runs: RUNS, seed: SEED });
    if (failure !== null) assert.fail(failure);
  });
}

test('every corpus has a target and every target a corpus', () => {
  const files = readdirSync(new URL('./corpus', import.meta.url)).map((name) => name.replace(/\.txt$/, ''));
  assert.deepEqual(files.sort(), TARGETS.map(({ name }) => name).sort());
  for (const { name } of TARGETS) assert.ok(corpusOf(name).length >= 3, `${name} has a corpus of three or more`);
});

test('the fuzzer finds a parser that breaks where two rare bytes meet, and names input and seed', async () => {
  const target: FuzzTarget = {
    name: 'planted',
    tokens: ['\0\0'],
    check: (bytes) => require(!bytes.includes('\0\0'), 'planted'),
  };
  const { failure } = await runTarget(target, [Buffer.from('GET / HTTP/1.1')], { runs: 2_000, seed: SEED });
  assert.match(failure ?? '', /planted: seed \d+, path [\d:]+/);
});

test('a corpus line holds any byte', () => {
  const bytes = Buffer.from(Array.from({ length: 256 }, (_, value) => value));
  const line = corpusLine(bytes);
  assert.match(line, /^[\x20-\x7e]+$/);
  assert.deepEqual(Buffer.from(JSON.parse(line) as string, 'latin1'), bytes);
});
