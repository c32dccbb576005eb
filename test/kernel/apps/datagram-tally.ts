/**
 * Sends datagrams and prints what came of them, driven by lines: "tally COUNT HOST PORT" from a socket each, and how often each
 * server answered; "chat COUNT HOST PORT..." by turns to several from one socket, and every answer as "NAME from HOST:PORT".
 * Nothing in a second is "silence".
 */
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { isIPv6 } from 'node:net';
import { createInterface } from 'node:readline';

const AT_ONCE = 32;

/** The first word of the answer with its sender, or what went wrong. */
async function ask(socket: Socket, host: string, port: number): Promise<string> {
  const sent = new Promise<string>((resolve) =>
    socket.send('x', port, host, (error) => {
      if (error !== null) resolve((error as NodeJS.ErrnoException).code ?? 'error');
    }),
  );
  const heard = once(socket, 'message', { signal: AbortSignal.timeout(1_000) }).then(
    ([data, from]) => `${String(data).split(' ')[0]} from ${from.address}:${from.port}`,
    (error: NodeJS.ErrnoException) => (error.name === 'AbortError' ? 'silence' : (error.code ?? 'error')),
  );
  return Promise.race([sent, heard]);
}

async function tally(count: number, host: string, port: number): Promise<string> {
  const heard = new Map<string, number>();
  let left = count;
  const work = async (): Promise<void> => {
    while (left-- > 0) {
      const socket = createSocket(isIPv6(host) ? 'udp6' : 'udp4');
      const [name = ''] = (await ask(socket, host, port)).split(' ');
      heard.set(name, (heard.get(name) ?? 0) + 1);
      socket.close();
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  return JSON.stringify(Object.fromEntries([...heard].sort()));
}

async function chat(count: number, places: readonly string[]): Promise<string> {
  const socket = createSocket(isIPv6(places[0] ?? '') ? 'udp6' : 'udp4');
  const heard = new Set<string>();
  for (let turn = 0; turn < count; turn++)
    for (let at = 0; at < places.length; at += 2) heard.add(await ask(socket, places[at] ?? '', Number(places[at + 1])));
  socket.close();
  return JSON.stringify([...heard].sort());
}

createInterface({ input: process.stdin }).on('line', async (line) => {
  const [verb = '', count = '0', ...places] = line.split(' ');
  console.log(
    verb === 'chat' ? await chat(Number(count), places) : await tally(Number(count), places[0] ?? '', Number(places[1])),
  );
});
console.log('ready');
