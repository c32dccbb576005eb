/**
 * Opens connections, driven by lines: "tally COUNT HOST PORT" opens so many, some at once, reads the name that each server greets
 * with and prints how often it heard which, errors among them.
 */
import { connect } from 'node:net';
import { createInterface } from 'node:readline';

const AT_ONCE = 32;

/** The greeting, or the error. */
function greeted(host: string, port: number): Promise<string> {
  return new Promise((resolve) => {
    let text = '';
    const socket = connect({ host, port });
    socket.on('data', (data) => {
      text += data;
    });
    socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? 'error'));
    socket.on('close', () => resolve(text));
  });
}

async function tally(count: number, host: string, port: number): Promise<string> {
  const heard = new Map<string, number>();
  let left = count;
  const work = async (): Promise<void> => {
    while (left-- > 0) {
      const name = await greeted(host, port);
      heard.set(name, (heard.get(name) ?? 0) + 1);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  return JSON.stringify(Object.fromEntries([...heard].sort()));
}

createInterface({ input: process.stdin }).on('line', async (line) => {
  const [, count = '0', host = '', port = '0'] = line.split(' ');
  console.log(await tally(Number(count), host, Number(port)));
});
console.log('ready');
