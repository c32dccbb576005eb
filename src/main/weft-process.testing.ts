import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';

/** The program as people start it. */
export const BIN = join(import.meta.dirname, '../../bin/weft');

/** How a command ended, and what it wrote. */
export type Outcome = { code: number; out: string; err: string };

/** Runs a program to its end. */
export function run(program: string, args: readonly string[], options: { cwd?: string; env?: NodeJS.ProcessEnv } = {}) {
  return new Promise<Outcome>((resolve) => {
    const child = execFile(program, [...args], { ...options, env: { ...process.env, ...options.env } }, (_, out, err) =>
      resolve({ code: child.exitCode ?? -1, out, err }),
    );
  });
}

/** Runs `weft` to its end. */
export const weft = (...args: string[]): Promise<Outcome> => run(BIN, args);

/** A `weft` that serves until it is told to stop. */
export type Serving = {
  child: ChildProcess;
  /** Resolves when its standard error holds `text`; rejects when it ends before. */
  said(text: string): Promise<void>;
  /** Exit code or signal, and everything it wrote on standard error. */
  ended: Promise<{ code: number | null; signal: string | null; err: string }>;
};

/** Starts `weft`; killed when the test ends, should it still run. */
export function serving(t: TestContext, args: readonly string[], env: NodeJS.ProcessEnv = {}): Serving {
  const child = spawn(BIN, [...args], { stdio: ['ignore', 'ignore', 'pipe'], env: { ...process.env, ...env } });
  let err = '';
  const ended = new Promise<Awaited<Serving['ended']>>((resolve) => {
    child.once('close', (code, signal) => resolve({ code, signal, err }));
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => (err += text));
  t.after(async () => {
    child.kill('SIGKILL');
    await ended;
  });
  const said = (text: string): Promise<void> =>
    new Promise((resolve, reject) => {
      const look = (): void => {
        if (err.includes(text)) resolve();
      };
      child.stderr.on('data', look);
      void ended.then(() => reject(new Error(`it ended before it said "${text}": ${err}`)));
      look();
    });
  return { child, said, ended };
}

/** A directory that is gone after the test. */
export function scratch(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'weft-main-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

/** A port of 127.0.0.1 that nobody listened on a moment ago: the command line takes no port 0. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer().once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(address !== null && typeof address === 'object' ? address.port : 0));
    });
  });
}
