import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { SteppedClock } from '#platform/stepped-clock.testing.ts';
import { LineBuffer } from './line-buffer.ts';
import { endTurns, linesLeftOut, logComplaint, logIsFull, turnTaking } from './log-turns.ts';

/** A buffer whose reader takes at most `room` bytes in all; what was written, each write apart. */
function bufferOf(room = Number.POSITIVE_INFINITY, logWaitBytesMax = 1_000) {
  const clock = new SteppedClock();
  const writes: string[] = [];
  const reader = { room, gone: false };
  const outlet = (bytes: Uint8Array): number => {
    if (reader.gone) throw new Error('EPIPE');
    const taken = Math.min(bytes.length, reader.room);
    reader.room -= taken;
    writes.push(Buffer.from(bytes.subarray(0, taken)).toString());
    return taken;
  };
  const notice = (leftOut: number): string => `left out ${leftOut}\n`;
  return {
    buffer: new LineBuffer({ outlet, clock, notice, bounds: { logWaitMs: 20, logFullWaitMs: 1_000, logWaitBytesMax } }),
    clock,
    writes,
    reader,
  };
}

test('lines wait for one another and leave in one write, in their order', () => {
  const { buffer, clock, writes } = bufferOf();
  for (const line of ['a\n', 'b\n', 'ö\n']) buffer.write(line);
  clock.advance(19);
  assert.deepEqual(writes, []);
  clock.advance(1);
  assert.deepEqual(writes, ['a\nb\nö\n']);
  clock.advance(1_000);
  assert.equal(writes.length, 1, 'no write without lines');
});

test('many lines do not wait for the time', () => {
  const { buffer, writes } = bufferOf(Number.POSITIVE_INFINITY, 1_000_000);
  for (let n = 0; n < 400; n++) buffer.write(`${'x'.repeat(99)}\n`);
  assert.equal(writes.length, 1);
});

test('a write that was taken in part goes on where it stopped, also within a character', () => {
  const { buffer, clock, writes, reader } = bufferOf(4);
  buffer.write('abcö\n');
  clock.advance(20);
  buffer.write('d\n');
  reader.room = 100;
  clock.advance(20);
  assert.equal(writes.length, 2);
  assert.match(writes[1] ?? '', /\n(d\n)$/);
  const whole = bufferOf(3);
  whole.buffer.write('abcdef\n');
  whole.clock.advance(20);
  whole.reader.room = 100;
  whole.clock.advance(20);
  assert.equal(whole.writes.join(''), 'abcdef\n');
});

test('a reader that stands still costs a bounded memory; what was left out is counted and told', () => {
  const { buffer, clock, writes, reader } = bufferOf(0, 100);
  const before = linesLeftOut();
  for (let n = 0; n < 1_000; n++) buffer.write('123456789\n');
  clock.advance(20);
  assert.equal(linesLeftOut() - before, 990);
  reader.room = Number.POSITIVE_INFINITY;
  clock.advance(20);
  clock.advance(20);
  assert.equal(writes.join(''), `${'123456789\n'.repeat(10)}left out 990\n`);
  buffer.write('again\n');
  clock.advance(20);
  assert.equal(writes.at(-1), 'again\n');
});

test('a slow reader is not asked again for each line', () => {
  const { buffer, clock, writes } = bufferOf(0, 1_000_000);
  for (let n = 0; n < 5_000; n++) buffer.write(`${'x'.repeat(99)}\n`);
  assert.equal(writes.length, 1);
  clock.advance(20);
  assert.equal(writes.length, 2);
});

test('lines behind a reader that takes a little at a time come whole and in order, however they lie', () => {
  const { buffer, clock, writes, reader } = bufferOf(0, 100_000);
  const lines: string[] = [];
  for (let n = 0; n < 3_000; n++) {
    const line = `${n} ${'x'.repeat(n % 97)}\n`;
    lines.push(line);
    if (n % 2 === 0) buffer.write(line);
    else buffer.write(Buffer.from(`${line}what is behind it`), Buffer.byteLength(line));
    if (n % 40 === 39) {
      reader.room = 40 * 60;
      clock.advance(20);
    }
  }
  reader.room = Number.POSITIVE_INFINITY;
  clock.advance(40);
  assert.equal(writes.join(''), lines.join(''));
});

test('what a flush takes at the end of a process is everything', () => {
  const { buffer, writes } = bufferOf();
  buffer.write('last words\n');
  buffer.flush();
  assert.deepEqual(writes, ['last words\n']);
});

test('a reader that is gone is no error, and nothing is kept for it', () => {
  const { buffer, clock, reader } = bufferOf(100, 20);
  reader.gone = true;
  const before = linesLeftOut();
  for (let n = 0; n < 10; n++) {
    buffer.write('123456789\n');
    clock.advance(20);
  }
  assert.equal(linesLeftOut(), before);
});

const FULL = Object.assign(new Error('no space left on device'), { code: 'ENOSPC' });

/** A disk with so much room, which takes what fits, and threads with a buffer each on it. */
function fullDisk(room: number, names: readonly string[], logWaitBytesMax = 10_000) {
  const clock = new SteppedClock();
  const disk = { room, text: '', writes: 0 };
  const outlet = (bytes: Uint8Array): number => {
    disk.writes++;
    if (disk.room === 0) throw FULL;
    const taken = Math.min(bytes.length, disk.room);
    disk.room -= taken;
    disk.text += Buffer.from(bytes.subarray(0, taken)).toString();
    return taken;
  };
  const bounds = { logWaitMs: 20, logFullWaitMs: 1_000, logWaitBytesMax };
  const notice = (leftOut: number): string => `left out ${leftOut}\n`;
  const buffers = names.map((name) => {
    const buffer = new LineBuffer({ outlet: turnTaking(outlet), clock, notice, bounds });
    return (line: number) => buffer.write(`${name} ${line}\n`);
  });
  return { clock, disk, buffers };
}

test('H4: lines wait while their disk is full, also for the rest of one that was begun, and come whole when there is room', () => {
  const { clock, disk, buffers } = fullDisk(10, ['first', 'second']);
  for (let line = 0; line < 3; line++) for (const write of buffers) write(line);
  clock.advance(1_000);
  assert.equal(disk.text, 'first 0\nfi');
  assert.deepEqual([logIsFull(), logComplaint().length], [true, 1]);
  disk.room = 1_000;
  clock.advance(2_000);
  assert.deepEqual(disk.text.trimEnd().split('\n').sort(), ['first 0', 'first 1', 'first 2', 'second 0', 'second 1', 'second 2']);
  assert.deepEqual([logIsFull(), logComplaint()], [false, []]);
});

test('H4: a full disk is not written to at each line, and what it had no room for is counted and told', () => {
  const before = linesLeftOut();
  const { clock, disk, buffers } = fullDisk(0, ['line'], 100);
  for (let line = 100; line < 1_100; line++) {
    for (const write of buffers) write(line);
    clock.advance(10);
  }
  assert.ok(disk.writes < 15, `${disk.writes} writes in 10 s`);
  assert.equal(linesLeftOut() - before, 989);
  disk.room = 1_000;
  clock.advance(2_000);
  assert.match(disk.text, /^(line 1[01]\d\n){11}left out 989\n$/);
});

const CHILD = `
import { spawnSync } from 'node:child_process';
import { commandLog } from '#platform/telemetry/log.ts';
const log = commandLog('child', { WEFT_LOG_LEVEL: 'info' });
spawnSync('true', { stdio: ['ignore', 'ignore', 'inherit'] }); // which makes what is shared with it wait for its reader
for (let n = 0; n < 20_000; n++) log.info({ id: 'x'.repeat(100) }, 'line ' + n);
setTimeout(() => { log.info({ id: 'x' }, 'line 20000'); process.stdout.write('alive'); if (process.argv[1] === 'crash') throw new Error('crash'); process.exit(0); }, 50);
`;
const child = (stderr: 'pipe' | number, ...args: string[]) =>
  spawn(process.execPath, ['--input-type=module-typescript', '-e', CHILD, ...args], {
    cwd: import.meta.dirname,
    stdio: ['ignore', 'pipe', stderr],
    timeout: 10_000,
  });

test('a socket that nobody reads does not hold up the process', async () => {
  const running = child('pipe');
  let said = '';
  running.stdout?.on('data', (data) => (said += data));
  const [[code]] = await Promise.all([once(running, 'exit'), once(running.stdout ?? running, 'end')]); // standard error is never read
  assert.deepEqual([code, said], [0, 'alive']);
});

test('a process that crashes loses no line that it wrote', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'weft-log-'));
  t.after(() => rmSync(dir, { recursive: true }));
  const file = openSync(join(dir, 'log'), 'w');
  const running = child(file, 'crash');
  closeSync(file);
  running.stdout?.resume();
  const [code] = await once(running, 'close');
  assert.equal(code, 1);
  const text = readFileSync(join(dir, 'log'), 'utf8');
  assert.equal(text.match(/child: line \d+ id=x+\n/g)?.length, 20_001, 'also the line of the moment before');
});

test('lines of two threads never run into one another, however little the reader takes at once', () => {
  const clock = new SteppedClock();
  let [read, room] = ['', 0];
  const outlet = (bytes: Uint8Array): number => {
    const taken = Math.min(bytes.length, room);
    room -= taken;
    read += Buffer.from(bytes.subarray(0, taken)).toString();
    return taken;
  };
  const buffers = ['first', 'second'].map((name) => {
    const buffer = new LineBuffer({ outlet: turnTaking(outlet), clock, notice: String });
    return (line: number) => buffer.write(`${name} ${line}\n`);
  });
  for (let line = 0; line < 200; line++) {
    for (const write of buffers) write(line);
    room = line % 7;
    clock.advance(20);
  }
  room = 10_000;
  clock.advance(100);
  const lines = read.trimEnd().split('\n');
  assert.equal(lines.length, 400);
  for (const name of ['first', 'second'])
    assert.deepEqual(
      lines.filter((line) => line.startsWith(name)),
      Array.from({ length: 200 }, (_, line) => `${name} ${line}`),
    );
});

test('a reader that is gone, or a thread that ended within a line, keeps nobody else from writing', () => {
  const [gone, short, whole] = [
    turnTaking(() => {
      throw new Error('EPIPE');
    }),
    turnTaking(() => 1),
    turnTaking((bytes) => bytes.length),
  ];
  const line = Buffer.from('line\n');
  assert.throws(() => gone(line), /EPIPE/);
  assert.equal(whole(line), line.length);
  assert.equal(short(line), 1);
  assert.equal(whole(line), 0);
  endTurns();
  assert.equal(whole(line), line.length);
});
