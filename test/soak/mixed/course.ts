import type { Window } from './versions.ts';

const WRONG_TOLD_MAX = 20;

/** How a client calls. */
export type Way = 'http1' | 'http2' | 'grpc' | 'websocket1' | 'websocket2' | 'talk';

/** The versions of the configuration that may be in force, as the one that changes it tells. */
const known = { must: 0, may: 0 };
/** What became of calls, and of messages of streams. `repeated`: surely nothing of them had been processed. `cut`: streams. */
export const tally = {
  answers: {} as Record<string, number>,
  messages: {} as Record<string, number>,
  repeated: {} as Record<string, number>,
  refused: 0,
  cut: 0,
  wrong: 0,
};
let finishing = true;
let wakeAll: () => void = () => {};
let finish: Promise<void> = Promise.resolve();

export const isFinishing = (): boolean => finishing;

export function begin(): void {
  finishing = false;
  finish = new Promise((resolve) => {
    wakeAll = resolve;
  });
}

/** Nothing new begins from here on. */
export function end(): void {
  finishing = true;
  wakeAll();
}

export function learn(what: 'must' | 'may', version: number): void {
  known[what] = version;
}

/** Begins a call: the result tells, when its answer is there, what it may have been given by. */
export function windowFromHere(): () => Window {
  const { must } = known;
  return () => ({ must, may: known.may });
}

export function counted(what: 'answers' | 'messages' | 'repeated', way: Way): void {
  tally[what][way] = (tally[what][way] ?? 0) + 1;
}

export function wrong(what: string): void {
  if (++tally.wrong <= WRONG_TOLD_MAX) console.log(JSON.stringify({ wrong: what, atMs: Date.now() }));
}

/** A stream that had gone well was ended by somebody else: when that is right only the one who replaces knows. */
export function cut(way: Way, how: string): void {
  tally.cut++;
  console.log(JSON.stringify({ cut: way, how, atMs: Date.now() }));
}

/** Ends early once everything is to end. */
export function rest(ms: number): Promise<unknown> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, ms);
  return Promise.race([promise, finish]).finally(() => clearTimeout(timer));
}

const DEADLINE_MS = 20_000;

/** Null, and told as wrong, when it takes longer than anything may. */
export async function inTime<Result>(what: string, result: Promise<Result>): Promise<Result | null> {
  const { promise: late, resolve } = Promise.withResolvers<null>();
  const timer = setTimeout(() => {
    wrong(`${what}: nothing came`);
    resolve(null);
  }, DEADLINE_MS);
  return Promise.race([result, late]).finally(() => clearTimeout(timer));
}

/** What failed, for a message. */
export function told(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  return [code, message].filter(Boolean).join(' ');
}
