import { spawn } from 'node:child_process';
import { open, readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { WeftError } from '#model/error.ts';
import { LINK_INTERFACE } from '#testbed/fabric/plan.ts';
import { inNetns } from '#testbed/placement.ts';
import { waitUntil } from '#testbed/wait.ts';

const START_WAIT_MS = 5_000;
/** tcpdump gets what it captured from the kernel a second late at most (the block timeout of its ring). */
const SETTLE_MS = 1_200;

/** What was done while a capture ran, and the whole capture file. */
export type Captured<Result> = { result: Result; file: Buffer };

/**
 * Runs `body` while tcpdump captures on the link between the nodes, seen from the namespace `netns`.
 * Errors: those of `body`; WEFT_DEMO_TIMEOUT when tcpdump does not start, WEFT_DEMO_CAPTURE when packets were lost.
 */
export async function captured<Result>(
  netns: string,
  path: string,
  filter: string,
  body: () => Promise<Result>,
): Promise<Captured<Result>> {
  const output = await open(path, 'w');
  try {
    const tcpdump = startTcpdump(netns, output.fd, filter);
    try {
      await waitUntil('capture on the link', START_WAIT_MS, () => tcpdump.said().includes('listening on'));
      const result = await body();
      await sleep(SETTLE_MS);
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

function startTcpdump(netns: string, outputFd: number, filter: string): { said(): string; stop(): Promise<void> } {
  const line = inNetns(netns, ['tcpdump', '-i', LINK_INTERFACE, '-s', '0', '-B', '32768', '-U', '-w', '-', filter]);
  const [program = '', ...args] = line;
  const child = spawn(program, args, { stdio: ['ignore', outputFd, 'pipe'], detached: true });
  let said = '';
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
  return {
    said: () => said,
    async stop() {
      child.kill('SIGINT');
      await Promise.race([ended, sleep(START_WAIT_MS, undefined, { ref: false })]);
      child.kill('SIGKILL');
    },
  };
}

function lossy(said: string): WeftError {
  return new WeftError('WEFT_DEMO_CAPTURE', `the capture is not complete: ${said.trim()}`, {
    remedy: 'run the demo on a less busy machine',
  });
}
