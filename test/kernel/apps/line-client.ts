/** A TCP client driven by lines: "connect HOST PORT", "send TEXT", "close"; prints what happens. */
import { connect, type Socket } from 'node:net';
import { createInterface } from 'node:readline';

let socket: Socket | null = null;

function open(host: string, port: number): void {
  const opened = connect({ host, port }, () => {
    const { remoteAddress, remotePort, localAddress, localPort } = opened;
    console.log('connected', remoteAddress, remotePort, localAddress, localPort);
  });
  opened.on('data', (data) => console.log('data', data.toString()));
  opened.on('error', (error: NodeJS.ErrnoException) => console.log('error', error.code));
  opened.on('close', () => console.log('closed'));
  socket = opened;
}

createInterface({ input: process.stdin }).on('line', (line) => {
  const [verb, first = '', second = ''] = line.split(' ');
  if (verb === 'connect') open(first, Number(second));
  else if (verb === 'send') socket?.write(first);
  else if (verb === 'close') socket?.destroy();
});
console.log('ready');
