import { spawn } from 'node:child_process';
import { closeSync, openSync, writeSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';

const STOP_WAIT_MS = 5_000;

/** How a process ended: by its exit code, or by a signal. */
export type Ending = { code: number | null; signal: NodeJS.Signals | null };

/** A running process of a lab. Its standard error, and what it prints, is in the log file. */
export type Child = {
  name: string;
  pid: number;
  logPath: string;
  /** Null while it runs. */
  ending(): Ending | null;
  /** Whether it ended although nobody here told it to. */
  endedByItself(): boolean;
  ended: Promise<Ending>;
  /** Hears each line of standard output from now on; returns how to stop hearing. */
  onLine(listener: (line: string) => void): () => void;
  write(line: string): void;
  /** Its input ends. */
  closeInput(): void;
  signal(signal: NodeJS.Signals): void;
  /** SIGTERM, after five seconds SIGKILL; returns when it has ended. */
  stop(): Promise<Ending>;
};

/** What to start, and where its output goes. */
export type ChildOptions = { name: string; command: readonly string[]; logPath: string };

/** Starts a process of a run. */
export type Spawn = (options: ChildOptions) => Child;

/**
 * Starts a process that outlives the call, in a process group of its own, so that Ctrl-C in the terminal
 * reaches only the process that owns the lab, which then stops everything in order. Errors: those of spawn, as an ending with code 127.
 */
export function startChild({ name, command, logPath }: ChildOptions, env: Record<string, string>): Child {
  const [program = '', ...args] = command;
  const log = openSync(logPath, 'a', 0o600);
  const child = spawn(program, args, { stdio: ['pipe', 'pipe', log], detached: true, env: { ...process.env, ...env } });
  const { stdin, stdout } = child;
  if (stdin === null || stdout === null) throw new Error('spawn gave no pipes');
  const listeners = new Set<(line: string) => void>();
  let ending: Ending | null = null;
  let told = false;
  const ended = new Promise<Ending>((resolve) => {
    const end = (code: number | null, signal: NodeJS.Signals | null): void => {
      if (ending !== null) return;
      ending = { code, signal };
      resolve(ending);
    };
    child.once('error', () => end(127, null));
    child.once('exit', end);
  });
  createInterface({ input: stdout })
    .on('line', (line) => {
      keep(log, `${line}\n`);
      for (const listener of listeners) listener(line);
    })
    .on('close', () => closeSync(log));
  // A process that dies with requests in its pipe is seen by its ending, not here.
  stdin.on('error', () => {});
  const signal = (name: NodeJS.Signals): void => {
    if (ending !== null) return;
    told = true;
    child.kill(name);
  };
  return {
    name,
    pid: child.pid ?? -1,
    logPath,
    ending: () => ending,
    endedByItself: () => ending !== null && !told,
    ended,
    onLine(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    write: (line) => void stdin.write(`${line}\n`),
    closeInput: () => void stdin.end(),
    signal,
    async stop() {
      signal('SIGTERM');
      await Promise.race([ended, sleep(STOP_WAIT_MS, undefined, { ref: false })]);
      signal('SIGKILL');
      return ended;
    },
  };
}

/** Without room for it on the disk the line is lost, and not who hears it. */
function keep(log: number, text: string): void {
  try {
    writeSync(log, text);
  } catch {
    // A log tells what became of the mesh; it is no part of it.
  }
}
