/** One piece of what a command printed, as container runtimes keep it: `<time> <stream> <F|P> <text>`. */
export type LogPiece = {
  /** RFC 3339 with nanoseconds; no two of a file are the same, and later ones are greater as text. */
  readonly time: string;
  readonly stream: 'stdout' | 'stderr';
  /** The line ends with it; else the next piece of the stream goes on. */
  readonly isWhole: boolean;
  readonly text: string;
};

/** The line of a log file that holds a piece; the text has no newline. */
export function logLine({ time, stream, isWhole, text }: LogPiece): string {
  return `${time} ${stream} ${isWhole ? 'F' : 'P'} ${text}\n`;
}

/** Reads a line of a log file, without its newline; null for one that something else wrote. */
export function readLogLine(line: string): LogPiece | null {
  const [, time, stream, tag, text = ''] =
    /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z) (stdout|stderr) ([FP]) ([\s\S]*)$/.exec(line) ?? [];
  if (time === undefined) return null;
  return { time, stream: stream === 'stdout' ? 'stdout' : 'stderr', isWhole: tag === 'F', text };
}

/** Fixed by arithmetic. */
const NANOS_IN_MS = 1_000_000;

/** Times of a log, each later than the one before, whatever the clock says. */
export function logTimes(nowMs: () => number): () => string {
  let [lastMs, within] = [0, 0];
  return () => {
    const ms = Math.floor(nowMs());
    within = ms > lastMs ? 0 : within + 1;
    lastMs = Math.max(lastMs, ms) + Math.floor(within / NANOS_IN_MS);
    within %= NANOS_IN_MS;
    return `${new Date(lastMs).toISOString().slice(0, -1)}${String(within).padStart(6, '0')}Z`;
  };
}

/** Cuts what a stream brings into pieces: a line each, or a part of one that is longer than `charactersMax`. */
export class LineCutter {
  readonly #charactersMax: number;
  #rest = '';

  constructor(charactersMax: number) {
    this.#charactersMax = charactersMax;
  }

  take(text: string): { text: string; isWhole: boolean }[] {
    const lines = (this.#rest + text).split('\n');
    this.#rest = lines.pop() ?? '';
    const pieces = lines.flatMap((line) => this.#cut(line, true));
    if (this.#rest.length < this.#charactersMax) return pieces;
    const open = this.#cut(this.#rest, false);
    this.#rest = open.pop()?.text ?? '';
    return [...pieces, ...open];
  }

  /** What is left when the stream ends: a line whose end nobody wrote. */
  end(): { text: string; isWhole: boolean }[] {
    const text = this.#rest;
    this.#rest = '';
    return text === '' ? [] : [{ text, isWhole: true }];
  }

  #cut(line: string, isWhole: boolean): { text: string; isWhole: boolean }[] {
    const max = this.#charactersMax;
    const count = Math.max(1, Math.ceil(line.length / max));
    return Array.from({ length: count }, (_, at) => ({
      text: line.slice(at * max, (at + 1) * max),
      isWhole: isWhole && at === count - 1,
    }));
  }
}
