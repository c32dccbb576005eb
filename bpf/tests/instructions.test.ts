import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { release } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { type ProgramSize, programSize } from '#platform/bpf/kernel-calls.testing.ts';
import { loadObject } from '#platform/bpf/object.ts';
import { withoutPrograms } from './loaded.testing.ts';

const ROOT = join(import.meta.dirname, '../..');
const RECORD = join(import.meta.dirname, 'instructions.json');

/** Where and how → program → its size. Other kernels walk other paths and other compilers write other code. */
type Recorded = Record<string, Record<string, ProgramSize>>;

/** Programs that grew, a line for each; a program without a record counts as grown from nothing. */
function grown(before: Record<string, ProgramSize>, now: Record<string, ProgramSize>): string[] {
  return Object.entries(now).flatMap(([name, size]) => {
    const old = before[name] ?? { verified: 0, translated: 0 };
    const more = (['verified', 'translated'] as const).filter((count) => size[count] > old[count]);
    return more.map((count) => `${name}: ${old[count]} instructions ${count}, now ${size[count]}`);
  });
}

function measured(): Record<string, ProgramSize> {
  execFileSync(join(ROOT, 'scripts/build-bpf'), { stdio: 'pipe' });
  const directory = join(ROOT, 'build/bpf');
  const sizes: [string, ProgramSize][] = [];
  for (const file of readdirSync(directory).filter((name) => name.endsWith('.o'))) {
    const object = loadObject(join(directory, file), () => null, null);
    for (const [name, program] of object.programs) sizes.push([name, programSize(program) ?? { verified: 0, translated: 0 }]);
    object.close();
  }
  return Object.fromEntries(sizes.sort(([a], [b]) => (a < b ? -1 : 1)));
}

describe('instructions', { skip: withoutPrograms }, () => {
  const kernel = /^\d+\.\d+/.exec(release())?.[0];
  const compiler = /version (\d+)/.exec(execFileSync('clang', ['--version'], { encoding: 'utf8' }))?.[1];
  const here = `Linux ${kernel}, clang ${compiler}`;

  test('no program grows without a reviewed change of instructions.json', (t) => {
    const recorded = JSON.parse(readFileSync(RECORD, 'utf8')) as Recorded;
    const now = measured();
    if (process.env.WEFT_GOLDEN === 'write') {
      recorded[here] = now;
      writeFileSync(RECORD, `${JSON.stringify(recorded, null, 2)}\n`);
    }
    const before = recorded[here];
    if (before === undefined) {
      t.diagnostic(`there is no record for ${here}: ${JSON.stringify(now)}`);
      return;
    }
    const smaller = grown(now, before);
    if (smaller.length > 0) t.diagnostic(`smaller than recorded; WEFT_GOLDEN=write keeps it so: ${smaller.join('; ')}`);
    assert.deepEqual(grown(before, now), [], `on ${here}; if that is worth it, write the record with WEFT_GOLDEN=write`);
  });
});

test('a program that grew is named with both counts, one that shrank is not', () => {
  const before = { a: { verified: 10, translated: 5 }, b: { verified: 10, translated: 5 } };
  assert.deepEqual(grown(before, { a: { verified: 9, translated: 5 }, b: { verified: 11, translated: 6 } }), [
    'b: 10 instructions verified, now 11',
    'b: 5 instructions translated, now 6',
  ]);
  assert.deepEqual(grown(before, { c: { verified: 1, translated: 0 } }), ['c: 0 instructions verified, now 1']);
});
