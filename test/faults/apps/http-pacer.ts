/**
 * Calls a service by HTTP/1.1. Arguments: host, port. Each line on standard input is a command whose answer is a line `{"<command>": …}`:
 * `begin`: small calls over connections that stay, and one over a connection of its own now and then;
 * `paced`: how long those took since the last time, p50, p99.9 and the longest, in ms;
 * `burst`: calls over connections of their own, several at a time: how many were answered with which status and header `x-change`.
 */
import { Agent, get } from 'node:http';
import { createInterface } from 'node:readline';

const [host = '', port = ''] = process.argv.slice(2);
const [CONNECTIONS, PAUSE_MS, DIAL_PERIOD_MS, CALLS, AT_A_TIME, DEADLINE_MS] = [4, 2, 20, 200, 8, 15_000];

let trips: number[] = [];
let dials: number[] = [];
let failed = 0;

function call(agent: Agent | false): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  get({ host, port: Number(port), agent, signal: AbortSignal.timeout(DEADLINE_MS) }, (response) => {
    response
      .resume()
      .on('error', reject)
      .on('end', () => resolve(`${response.statusCode} ${response.headers['x-change'] ?? '-'}`));
  }).on('error', reject);
  return promise;
}

async function timed(agent: Agent | false, into: () => number[]): Promise<void> {
  const since = performance.now();
  const status = await call(agent).catch(String);
  if (status.startsWith('200 ')) into().push(performance.now() - since);
  else failed++;
}

async function talk(): Promise<void> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  for (;;) {
    await timed(agent, () => trips);
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  }
}

function begin(): null {
  for (let count = 0; count < CONNECTIONS; count++) void talk();
  setInterval(() => void timed(false, () => dials), DIAL_PERIOD_MS);
  return null;
}

function summary(all: number[]): object {
  const sorted = all.toSorted((a, b) => a - b);
  const at = (share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN;
  return { count: sorted.length, p50: at(0.5), p999: at(0.999), most: sorted.at(-1) ?? Number.NaN };
}

function paced(): object {
  const found = { trips: summary(trips), dials: summary(dials), failed };
  [trips, dials] = [[], []];
  return found;
}

async function burst(): Promise<Record<string, number>> {
  const answers: Record<string, number> = {};
  let left = CALLS;
  const callOn = async (): Promise<void> => {
    while (left-- > 0) {
      const answer = await call(false).catch(String);
      answers[answer] = (answers[answer] ?? 0) + 1;
    }
  };
  await Promise.all(Array.from({ length: AT_A_TIME }, callOn));
  return answers;
}

const COMMANDS: Record<string, () => unknown> = { begin, paced, burst };
createInterface({ input: process.stdin }).on('line', async (line) => {
  console.log(JSON.stringify({ [line]: await COMMANDS[line]?.() }));
});
console.log(JSON.stringify({ event: 'listening', pid: process.pid }));
