import { type ChildProcess, spawn } from 'node:child_process';

/** The root of the tree. */
export const ROOT = new URL('../..', import.meta.url).pathname;
/** The command line under test. */
export const WEFT = `${ROOT}bin/weft`;

/** A running program and what it printed, both streams together. */
export type Program = {
  child: ChildProcess;
  output: () => string;
  /** Resolves when the output matches; rejects when the program ends first. */
  until: (pattern: RegExp) => Promise<void>;
  ended: Promise<number | null>;
};

/** Starts programs and remembers them, so that a test can end them all. */
export class Programs {
  readonly #started: Program[] = [];

  start(command: readonly string[]): Program {
    const [file = '', ...args] = command;
    const child = spawn(file, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    let text = '';
    const waiting = new Set<() => void>();
    const hear = (chunk: Buffer): void => {
      text += chunk.toString();
      for (const look of waiting) look();
    };
    child.stdout.on('data', hear);
    child.stderr.on('data', hear);
    const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
    const until = (pattern: RegExp): Promise<void> =>
      new Promise((resolve, reject) => {
        const look = (): void => {
          if (!pattern.test(text)) return;
          waiting.delete(look);
          resolve();
        };
        waiting.add(look);
        void ended.then((code) => reject(new Error(`${command.join(' ')} ended with ${code} before ${pattern}:\n${text}`)));
        look();
      });
    const program = { child, output: () => text, until, ended };
    this.#started.push(program);
    return program;
  }

  /** Ends all of them, the last one first. */
  async endAll(signal: NodeJS.Signals): Promise<void> {
    for (const { child } of this.#started.toReversed()) child.kill(signal);
    for (const { ended } of this.#started) await ended;
  }
}
