/**
 * Calls services by HTTP/1.1. Each line on standard input is a command with the host that it is about, answered by a line `{"<line>": …}`:
 * `burst HOST`: calls at the same time, each over a connection of its own: how many ended as `<status> <x-envoy-overloaded or ->`;
 * `each HOST`: calls one after the other, over one connection: how many ended as `<status> <body>`;
 * `begin HOST`: from now on an even load of GET and POST, each with an id; `end HOST`: how many calls began since then, and their statuses.
 */
import { Agent, request } from 'node:http';
import { createInterface } from 'node:readline';

const [BURST, EACH, PERIOD_MS, DEADLINE_MS] = [12, 60, 5, 15_000];
type Called = { status: number; overloaded: string; body: string };

let ids = 0;
let began = 0;
let timer: NodeJS.Timeout | null = null;
let statuses: Record<string, number> = {};
const agent = new Agent({ keepAlive: true, maxSockets: 16 });
const under = new Set<Promise<unknown>>();

function call(host: string, method: string, through: Agent | false): Promise<Called> {
  const { promise, resolve, reject } = Promise.withResolvers<Called>();
  const headers = { 'x-id': String(++ids), ...(method === 'POST' && { 'content-length': '1' }) };
  const asked = request(
    { host, port: 80, method, agent: through, headers, signal: AbortSignal.timeout(DEADLINE_MS) },
    (response) => {
      let body = '';
      response
        .on('data', (data: Buffer) => (body += data))
        .on('error', reject)
        .on('end', () => {
          const overloaded = String(response.headers['x-envoy-overloaded'] ?? '-');
          resolve({ status: response.statusCode ?? 0, overloaded, body });
        });
    },
  ).on('error', reject);
  asked.end(method === 'POST' ? 'x' : undefined);
  return promise;
}

function counted(ends: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const end of ends) counts[end] = (counts[end] ?? 0) + 1;
  return counts;
}

async function burst(host: string): Promise<Record<string, number>> {
  const calls = Array.from({ length: BURST }, () => call(host, 'GET', false));
  const ends = await Promise.all(calls.map((one) => one.then(({ status, overloaded }) => `${status} ${overloaded}`, String)));
  return counted(ends);
}

async function each(host: string): Promise<Record<string, number>> {
  const ends: string[] = [];
  const own = new Agent({ keepAlive: true, maxSockets: 1 });
  for (let made = 0; made < EACH; made++) {
    ends.push(await call(host, 'GET', own).then(({ status, body }) => `${status} ${status === 200 ? body : ''}`, String));
  }
  own.destroy();
  return counted(ends);
}

function begin(host: string): null {
  const one = (): void => {
    const made: Promise<unknown> = call(host, ++began % 4 === 0 ? 'POST' : 'GET', agent)
      .then(({ status }) => String(status), String)
      .then((end) => {
        statuses[end] = (statuses[end] ?? 0) + 1;
        under.delete(made);
      });
    under.add(made);
  };
  timer = setInterval(one, PERIOD_MS);
  return null;
}

async function end(): Promise<object> {
  if (timer !== null) clearInterval(timer);
  await Promise.all(under);
  const found = { began, statuses };
  [began, statuses] = [0, {}];
  return found;
}

const COMMANDS: Record<string, (host: string) => unknown> = { burst, each, begin, end };
createInterface({ input: process.stdin }).on('line', async (line) => {
  const [name = '', host = ''] = line.split(' ');
  console.log(JSON.stringify({ [line]: await COMMANDS[name]?.(host) }));
});
console.log(JSON.stringify({ event: 'listening', pid: process.pid }));
