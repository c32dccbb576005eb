/**
 * Keeps one connection to an echo server, and ten times a second dials an echo server and asks a web server anew. Says after each
 * round what it saw, a line of JSON: `rounds`, `echoed` (over the kept connection), `ended` (why it did), `dialled`, `asked` and
 * `other`, each `ok` or what it failed with. Arguments: host/port of the echo server, of another one, and of the web server. Names are
 * looked up once: the patience of a resolver would be seen otherwise, and nothing else.
 */
import { lookup } from 'node:dns/promises';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

const PERIOD_MS = 100;
const PATIENCE_MS = 3_000;

type Place = { host: string; port: number };
const places = await Promise.all(
  process.argv.slice(2).map(async (text): Promise<Place> => {
    const [name = '', port = ''] = text.split('/');
    return { host: (await lookup(name, 4)).address, port: Number(port) };
  }),
);
const [target, other, web] = places as [Place, Place, Place];

const kept = { echoed: 0, ended: null as string | null };
const socket = connect(target);
socket.on('data', (bytes) => (kept.echoed += bytes.length));
socket.once('error', (error: NodeJS.ErrnoException) => (kept.ended = error.code ?? error.message));
socket.once('close', () => (kept.ended ??= 'closed'));

function dial(place: Place): Promise<string> {
  return new Promise((resolve) => {
    const one = connect({ ...place, timeout: PATIENCE_MS });
    const end = (outcome: string): void => {
      one.destroy();
      resolve(outcome);
    };
    one.once('connect', () => one.write('x'));
    one.once('data', () => end('ok'));
    one.once('timeout', () => end('timeout'));
    one.once('error', (error: NodeJS.ErrnoException) => end(error.code ?? error.message));
    one.once('close', () => resolve('closed'));
  });
}

async function ask(): Promise<string> {
  try {
    const response = await fetch(`http://${web.host}:${web.port}/`, {
      headers: { connection: 'close' },
      signal: AbortSignal.timeout(PATIENCE_MS),
    });
    await response.text();
    return response.status === 200 ? 'ok' : String(response.status);
  } catch (error) {
    return error instanceof Error ? `${error.message} ${(error.cause as NodeJS.ErrnoException | undefined)?.code}` : 'failed';
  }
}

for (let rounds = 1; ; rounds++) {
  socket.write('x');
  const [dialled, elsewhere, asked] = await Promise.all([dial(target), dial(other), ask()]);
  console.log(JSON.stringify({ rounds, ...kept, dialled, other: elsewhere, asked }));
  await sleep(PERIOD_MS);
}
