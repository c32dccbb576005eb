import assert from 'node:assert/strict';
import type { End } from './end.testing.ts';
import { turns, until } from './end.testing.ts';
import { type Dice, diceOf } from './faulty-calls.testing.ts';
import { endsOf, type PairMaker } from './pairs.testing.ts';
import { verified } from './stream-rules.testing.ts';

const STEPS_MAX = 24;
const LARGE_BYTES = 150_000;
/** No end writes more: a case is to be short. */
const WRITTEN_BYTES_MAX = 600_000;

const MISTAKE = new Error("a reader's mistake, made by a schedule");

/** What one end does next. */
function act(end: End, dice: Dice): string {
  switch (dice(16)) {
    case 0:
      end.pause();
      return 'pause';
    case 1:
    case 2:
      end.resume();
      return 'resume';
    case 3: {
      const most = 1 + dice(5_000);
      end.take = (bytes) => Math.min(bytes, most);
      return `take ${most}`;
    }
    case 4:
      end.take = (bytes) => bytes;
      return 'take all';
    case 5:
      if (end.over !== null) return ''; // told again to whoever asks again
      end.read();
      return 'read';
    case 6:
      if (dice(3) > 0) return '';
      end.end();
      return 'end';
    case 7:
      if (dice(12) > 0) return '';
      end.reset();
      return 'reset';
    case 8:
      if (dice(20) > 0) return '';
      return mistake(end, dice);
    default: {
      const bytes = dice(6) === 0 ? 1 + dice(LARGE_BYTES) : 1 + dice(300);
      if (end.sent > WRITTEN_BYTES_MAX || (end.isFull && dice(3) > 0)) return '';
      end.write(bytes, dice(2) === 0 ? 'write' : 'pass');
      return `write ${bytes}`;
    }
  }
}

function mistake(end: End, dice: Dice): string {
  const method = (['bytes', 'end', 'writable'] as const)[dice(3)] ?? 'bytes';
  end.acts = {
    [method]: () => {
      end.hasMistaken = true;
      throw MISTAKE;
    },
  };
  return `throw in ${method}`;
}

/** Nothing holds up the end any more. */
async function finish(maker: PairMaker, a: End, b: End): Promise<void> {
  for (const end of [a, b]) {
    end.take = (bytes) => bytes;
    end.end();
    end.resume();
  }
  const isDone = (end: End): boolean => end.over !== null || end.hasReset;
  await until(() => isDone(a) && isDone(b), `over: ${inWords(a)}; ${inWords(b)}`, maker.patience);
}

const inWords = (end: End): string =>
  `sent ${end.sent}, received ${end.received}, ends told ${end.endsTold}, over ${end.hasReset ? 'by its own reset' : end.over?.kind}`;

function judge(a: End, b: End, mistakesResets: boolean): void {
  const isBroken = [a, b].some((end) => end.hasReset || end.hasMistaken);
  for (const [end, peer] of [
    [a, b],
    [b, a],
  ] as const) {
    assert.ok(end.received <= peer.sent);
    assert.equal(end.oversHeard, 1, 'onOver');
    assert.equal(end.stream.pendingBytes, 0);
    if (end.hasReset) continue;
    const kind = end.over?.kind;
    if (end.hasMistaken) assert.equal(kind, 'failed');
    else if (!isBroken) assert.equal(kind, 'finished');
    else assert.ok(kind === 'reset' || kind === 'finished', `told ${kind} when its peer broke off`);
    if (kind === 'finished' && !(isBroken && mistakesResets)) assert.equal(end.received, peer.sent, 'finished without all bytes');
  }
}

/** One connection on which both ends do what a seed says, and then end. Rejects, with the seed, when that breaks the contract. */
export async function runSchedule(maker: PairMaker, seed: number): Promise<void> {
  const dice = diceOf(seed);
  const done: string[] = [];
  const { a, b } = await endsOf(maker, dice(4) === 0 ? 'unread' : 'read');
  try {
    for (let step = dice(STEPS_MAX); step >= 0; step--) {
      const [name, end] = dice(2) === 0 ? (['a', a] as const) : (['b', b] as const);
      done.push(`${name} ${act(end, dice)}`);
      if (dice(3) === 0) await turns(1 + dice(2));
    }
    if (!a.isRead) a.read();
    if (!b.isRead) b.read();
    await finish(maker, a, b);
    judge(a, b, maker.mistakesResets === true);
    verified({ a, b });
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new Error(`${maker.name}, SEED=${seed}: ${why}\n${done.join('; ')}`, { cause: error });
  } finally {
    a.reset();
    b.reset();
  }
}

/** So many schedules, some at a time, from a seed on. */
export async function runSchedules(maker: PairMaker, first: number, count: number, atOnce = 16): Promise<void> {
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < count) await runSchedule(maker, first + next++);
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
}
