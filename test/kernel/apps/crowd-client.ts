/**
 * Opens connections by the hundred, driven by lines: "hold COUNT HOST PORT" opens and keeps them, and prints how many are
 * open and with which errors the others failed; "loop MS HOST PORT" dials again and again; "open" counts what is still open;
 * "drop" ends all; "reset" does so with resets.
 */
import { connect, type Socket } from 'node:net';
import { createInterface } from 'node:readline';

/** So many at once: the accept queue of a listener is shorter than a crowd. */
const AT_ONCE = 64;
const held = new Set<Socket>();

/** 'open', or the error. What is reset right after the handshake was not let in. */
function dial(host: string, port: number, keep: boolean): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect({ host, port }, () => {
      if (!keep) socket.resetAndDestroy();
      else held.add(socket);
      resolve('open');
    });
    socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? 'error'));
    socket.on('close', () => held.delete(socket));
  });
}

async function several(host: string, port: number, more: () => boolean, keep: boolean): Promise<string> {
  const outcomes = new Map<string, number>();
  const work = async (): Promise<void> => {
    while (more()) {
      const outcome = await dial(host, port, keep);
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  return JSON.stringify(Object.fromEntries([...outcomes].sort()));
}

async function end(reset: boolean): Promise<string> {
  const closed = [...held].map((socket) => new Promise((resolve) => socket.once('close', resolve)));
  for (const socket of [...held]) reset ? socket.resetAndDestroy() : socket.destroy();
  await Promise.all(closed);
  return 'dropped';
}

async function answer(verb: string, count: number, host: string, port: number): Promise<string> {
  if (verb === 'open') return String(held.size);
  if (verb === 'drop' || verb === 'reset') return end(verb === 'reset');
  if (verb === 'hold') return several(host, port, () => count-- > 0, true);
  const endMs = performance.now() + count;
  return several(host, port, () => performance.now() < endMs, false);
}

createInterface({ input: process.stdin }).on('line', async (line) => {
  const [verb = '', count = '0', host = '', port = '0'] = line.split(' ');
  console.log(await answer(verb, Number(count), host, Number(port)));
});
console.log('ready');
