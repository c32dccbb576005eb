import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { releaseProgramPages, unwrittenMappings } from './program-pages.ts';

const fileKib = (): number => Number(/^RssFile:\s+(\d+) kB/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]);

test('what a start has touched of the program is given back, and everything goes on', () => {
  const digest = (): string => createHash('sha512').update('weft').digest('hex');
  const [text, before] = [digest(), fileKib()];
  assert.ok(releaseProgramPages() > 10_000_000);
  const after = fileKib();
  assert.ok(after < before / 2, `${before} KiB of files before, ${after} after`);
  assert.equal(digest(), text);
  assert.equal(JSON.parse(JSON.stringify({ it: ['works', 1.5] })).it[1], 1.5);
});

test('only what is mapped to be read, of that file, and what nobody has written', () => {
  const entry = (range: string, rights: string, file: string, anonymous: number): string =>
    `${range} ${rights} 00000000 fe:00 1234                       ${file}\nSize:  4 kB\nRss:   4 kB\nAnonymous:   ${anonymous} kB\nVmFlags: rd ex\n`;
  const smaps = [
    entry('400000-401000', 'r--p', '/opt/node', 0),
    entry('401000-403000', 'r-xp', '/opt/node', 0),
    entry('403000-404000', 'r--p', '/opt/node', 4),
    entry('404000-405000', 'rw-p', '/opt/node', 0),
    entry('405000-406000', 'rwxp', '/opt/node', 0),
    entry('7f0000000000-7f0000001000', 'r-xp', '/lib/libc.so.6', 0),
    entry('7f0000002000-7f0000003000', 'r-xp', '/opt/node (deleted)', 0),
  ].join('');
  assert.deepEqual(unwrittenMappings(smaps, '/opt/node'), [
    [0x40_0000, 0x40_1000],
    [0x40_1000, 0x40_3000],
  ]);
  assert.deepEqual(unwrittenMappings('', '/opt/node'), []);
});
