import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { type PromiseFindings, readPromises } from './promises.ts';
import { ROOT } from './source-files.ts';

const shipped = readPromises(ROOT, ['src']);

test('every promise is awaited, kept, or has somebody who hears of its rejection', () => assert.deepEqual(shipped.floating, []));

test('no function gives a promise to a caller that takes none', () => assert.deepEqual(shipped.misused, []));

test('whoever keeps silent about an error says why', () => assert.deepEqual(shipped.unexplained, []));

const HEAD = `
  declare const give: () => Promise<number>;
  declare const later: (task: () => void) => void;
  declare const stream: { on(event: string, listener: (error: Error) => void): void };
  declare const maybe: (() => Promise<number>) | undefined;
`;

/** What is found in programs of one statement each; all of them are read at once. */
function planted(codes: readonly string[]): PromiseFindings {
  const root = mkdtempSync(join(tmpdir(), 'weft-promises-'));
  try {
    mkdirSync(join(root, 'src'));
    const compilerOptions = { target: 'esnext', lib: ['esnext'], types: [], strict: true };
    writeFileSync(join(root, 'tsconfig.json'), JSON.stringify({ compilerOptions, include: ['src'] }));
    for (const [at, code] of codes.entries()) writeFileSync(join(root, `src/p${at}.ts`), `${HEAD}\n\n${code}\nexport {};\n`);
    return readPromises(root, ['src']);
  } finally {
    rmSync(root, { recursive: true });
  }
}

/** Those of `found` that are in the program `at`. */
const inProgram = (found: readonly string[], at: number): string[] => found.filter((one) => one.startsWith(`src/p${at}.ts:`));

const floating = [
  'give();',
  'void give();',
  'give().then((x) => x);',
  'give().finally(() => 1);',
  'maybe?.();',
  'maybe && maybe();',
  'new Promise((resolve) => resolve(1));',
  'Promise.all([give()]);',
  'later(() => void give());',
];
const seenFloating = planted(floating);
for (const [at, code] of floating.entries()) {
  test(`the promise test sees ${code}`, () => assert.equal(inProgram(seenFloating.floating, at).length, 1));
}

const handled = [
  'await give();',
  'const kept = give(); await kept;',
  'give().catch((error) => error);',
  'give().then(() => 1, () => 2);',
  'await give().finally(() => give());',
  'later(() => { give().catch((error) => error); });',
  'function f(): Promise<number> { return give(); } await f();',
];
const seenHandled = planted(handled);
for (const [at, code] of handled.entries()) {
  test(`the promise test lets pass ${code}`, () =>
    assert.deepEqual([...inProgram(seenHandled.floating, at), ...inProgram(seenHandled.misused, at)], []));
}

const misused = ['later(async () => { await give(); });', 'later(() => give());', "stream.on('data', async () => {});"];
const seenMisused = planted(misused);
for (const [at, code] of misused.entries()) {
  test(`the promise test sees ${code}`, () => assert.equal(inProgram(seenMisused.misused, at).length, 1));
}

const silences = [
  'give().catch(() => {});',
  "stream.on('error', () => {});",
  "stream.on('error', function () {});",
  'try { later(() => {}); } catch {}',
];
const bare = planted(silences);
const explained = planted(silences.map((code) => `${code} // its close says the same`));
for (const [at, code] of silences.entries()) {
  test(`the promise test sees the silence of ${code} and takes a reason for it`, () => {
    assert.deepEqual([inProgram(bare.unexplained, at).length, inProgram(explained.unexplained, at).length], [1, 0]);
  });
}
