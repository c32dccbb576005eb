import assert from 'node:assert/strict';
import test from 'node:test';
import { WeftError } from '#model/error.ts';
import { SteppedClock } from '#platform/stepped-clock.testing.ts';
import { type Screen, watch, withProgress } from './live-output.ts';

/** A screen that keeps what is written. */
function screenOf(isTerminal: boolean): Screen & { text(): string } {
  const texts: string[] = [];
  return { isTerminal, write: (text) => void texts.push(text), text: () => texts.join('') };
}

/** What `watch` shows of looks with these results. */
async function watched(results: readonly (string | Error)[], isTerminal: boolean): Promise<string> {
  const screen = screenOf(isTerminal);
  let at = -1;
  const look = async (): Promise<string> => {
    const result = results[++at] ?? '';
    if (result instanceof Error) throw result;
    return result;
  };
  await watch(look, screen, async () => at + 1 < results.length);
  return screen.text();
}

const GONE = new WeftError('WEFT_NO_AGENT', 'nobody answers');

test('H19: watching shows what has changed: below in a file, in place of it on a terminal', async () => {
  assert.equal(await watched(['a\n', 'a\n', 'b\n', 'a\n'], false), 'a\n\nb\n\na\n');
  assert.equal(await watched(['a\n', 'a\n', 'b\n'], true), '\u001b[H\u001b[2Ja\n\u001b[H\u001b[2Jb\n');
});

test('H19: a failure ends watching at the first look alone; our own mistake always', async () => {
  assert.equal(await watched(['a\n', GONE, 'b\n'], false), 'a\n\nweft: nobody answers (WEFT_NO_AGENT)\n\nb\n');
  await assert.rejects(watched([GONE, 'b\n'], false), { code: 'WEFT_NO_AGENT' });
  await assert.rejects(watched(['a\n', new TypeError('x')], false), TypeError);
});

test('H19: what takes longer than a second is told on a terminal, until it is done', async () => {
  for (const isTerminal of [true, false]) {
    const [screen, clock] = [screenOf(isTerminal), new SteppedClock()];
    const { promise, resolve } = Promise.withResolvers<number>();
    const done = withProgress('looking', () => promise, screen, clock);
    clock.advance(999);
    assert.equal(screen.text(), '');
    clock.advance(1_001);
    resolve(7);
    assert.equal(await done, 7);
    clock.advance(5_000);
    assert.equal(screen.text(), isTerminal ? '\rweft: looking … 1 s\u001b[K\rweft: looking … 2 s\u001b[K\r\u001b[K' : '');
  }
});

test('H19: what is done within a second leaves no trace, and what fails leaves none of the line', async () => {
  const [screen, clock] = [screenOf(true), new SteppedClock()];
  assert.equal(await withProgress('looking', async () => 7, screen, clock), 7);
  assert.equal(screen.text(), '');
  const { promise, reject } = Promise.withResolvers<number>();
  const failing = withProgress('looking', () => promise, screen, clock);
  clock.advance(1_000);
  reject(GONE);
  await assert.rejects(failing, { code: 'WEFT_NO_AGENT' });
  assert.ok(screen.text().endsWith('\r\u001b[K'));
});
