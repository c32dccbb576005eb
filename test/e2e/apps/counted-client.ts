/**
 * Arguments: name=host/port of servers that echo. A line "ROUNDS" on standard input has each of them dialled so often, several at a
 * time, with bytes of many lengths; when all connections have ended it says of each name what was counted.
 */
import { connect } from 'node:net';
import { createInterface } from 'node:readline';

const AT_ONCE = 4;
const BYTES_STEP = 7_919;
const BYTES_MAX = 150_000;

type Counted = { opened: number; failed: number; up: number; down: number };

const targets = process.argv.slice(2).map((text) => {
  const [name = '', host = '', port = ''] = text.split(/[=/]/);
  return { name, host, port: Number(port) };
});

function talk({ host, port }: { host: string; port: number }, bytes: number, counted: Counted): Promise<void> {
  return new Promise((resolve) => {
    const socket = connect({ host, port }, () => {
      counted.opened++;
      counted.up += bytes;
      socket.end(Buffer.alloc(bytes, 'x'));
    });
    socket.on('data', (data) => {
      counted.down += data.length;
    });
    socket.on('error', () => {
      counted.failed++;
    });
    socket.on('close', () => resolve());
  });
}

async function rounds(target: (typeof targets)[number], count: number): Promise<[string, Counted]> {
  const counted: Counted = { opened: 0, failed: 0, up: 0, down: 0 };
  let next = 0;
  const one = async (): Promise<void> => {
    while (next < count) await talk(target, 1 + ((next++ * BYTES_STEP) % BYTES_MAX), counted);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, one));
  return [target.name, counted];
}

createInterface({ input: process.stdin }).on('line', async (line) => {
  const counted = await Promise.all(targets.map((target) => rounds(target, Number(line))));
  console.log(JSON.stringify({ counted: Object.fromEntries(counted) }));
});
console.log(JSON.stringify({ event: 'listening', pid: process.pid }));
