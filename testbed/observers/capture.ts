import { spawn } from 'node:child_process';
import { open, readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { WeftError } from '#model/error.ts';
import type { LinkEnd } from '#testbed/nodes/plan.ts';
import { inNetns, inNetnsOf } from '#testbed/processes/command-lines.ts';
import { waitUntil } from '#testbed/processes/wait.ts';

const START_WAIT_MS = 5_000;
/** tcpdump gets what it captured from the kernel a second late at most (the block timeout of its ring). */
const SETTLE_MS = 1_200;

/** Where is captured: a device of a named network namespace, or of that of a process. */
export type CapturePoint = LinkEnd | { pid: number; device: string };

/** What was done while a capture ran, and the whole capture file. */
export type Captured<Result> = { result: Result; file: Buffer };

/**
 * Runs `body` while tcpdump captures on `wire`.
 * Errors: those of `body`; WEFT_TESTBED_TIMEOUT when tcpdump does not start, WEFT_TESTBED_CAPTURE when packets were lost.
 */
export async function captured<Result>(
  wire: CapturePoint,
  path: string,
  filter: string,
  body: () => Promise<Result>,
): Promise<Captured<Result>> {
  const output = await open(path, 'w');
  try {
    const tcpdump = await startCapture(wire, output.fd, filter);
    try {
      const result = await body();
      await tcpdump.stop();
      if (!/\b0 packets dropped by kernel/.test(tcpdump.said())) throw lossy(tcpdump.said());
      return { result, file: await readFile(path) };
    } finally {
      await tcpdump.stop();
    }
  } finally {
    await output.close();
  }
}

/** A capture that goes on until it is stopped. */
export type Capture = {
  /** What tcpdump said so far; at the end its counts. */
  said(): string;
  /** Resolves when tcpdump has ended, by `stop` or by itself. */
  ended: Promise<void>;
  /** Waits for what was sent until now, and ends it. */
  stop(): Promise<void>;
};

/** Captures on `wire` into an open file, as `tcpdump -w` does; returns when it listens. Errors: WEFT_TESTBED_TIMEOUT. */
export async function startCapture(wire: CapturePoint, outputFd: number, filter: string): Promise<Capture> {
  const options = ['-i', wire.device, '-s', '0', '-B', '32768', '-U', '-w', '-'];
  const tcpdump = ['tcpdump', ...options, ...(filter === '' ? [] : [filter])];
  const [program = '', ...args] = 'pid' in wire ? inNetnsOf(wire.pid, tcpdump) : inNetns(wire.netns, tcpdump);
  const child = spawn(program, args, { stdio: ['ignore', outputFd, 'pipe'], detached: true });
  let said = '';
  let running = true;
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    said += text;
  });
  const ended = new Promise<void>((resolve) => {
    child.once('close', () => resolve());
    child.once('error', (error) => {
      said += error.message;
      resolve();
    });
  });
  void ended.then(() => {
    running = false;
  });
  const stop = async (): Promise<void> => {
    if (running) await sleep(SETTLE_MS);
    child.kill('SIGINT');
    await Promise.race([ended, sleep(START_WAIT_MS, undefined, { ref: false })]);
    child.kill('SIGKILL');
  };
  await waitUntil('capture on the wire', START_WAIT_MS, () => said.includes('listening on')).catch(async (error: unknown) => {
    await stop();
    throw error;
  });
  return { said: () => said, ended, stop };
}

function lossy(said: string): WeftError {
  return new WeftError('WEFT_TESTBED_CAPTURE', `the capture is not complete: ${said.trim()}`, {
    remedy: 'capture on a less busy machine',
  });
}
