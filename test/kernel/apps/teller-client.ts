/** Driven by lines "HOST PORT UP DOWN ENDING"; sends and awaits so many bytes, ends as told, prints "SENT RECEIVED" or "error CODE". */
import { connect } from 'node:net';
import { createInterface } from 'node:readline';

function talk(host: string, port: number, up: number, down: number, ending: string): Promise<string> {
  const head = Buffer.from(`${up} ${down} ${ending}\n`);
  const bytes = Buffer.concat([head, Buffer.alloc(Math.max(0, up - head.length), 'u')]);
  return new Promise((resolve) => {
    let received = 0;
    const socket = connect({ host, port }, () => {
      if (ending === 'after-end') socket.end(bytes);
      else socket.write(bytes);
    });
    socket.on('data', (data) => {
      received += data.length;
      if (received < down) return;
      if (ending === 'client-first') socket.end();
      if (ending === 'client-closes') socket.destroy();
      if (ending === 'client-resets') socket.resetAndDestroy();
    });
    socket.on('error', (error: NodeJS.ErrnoException) => resolve(`error ${error.code}`));
    socket.on('close', () => resolve(`${bytes.length} ${received}`));
  });
}

createInterface({ input: process.stdin }).on('line', async (line) => {
  const [host = '', port = '', up = '', down = '', ending = ''] = line.split(' ');
  console.log(await talk(host, Number(port), Number(up), Number(down), ending));
});
console.log('ready');
