/** A UDP client driven by lines: "ask HOST PORT TEXT" on an unconnected socket, "connected HOST PORT TEXT" on a connected one; prints answer and sender. */
import { createSocket } from 'node:dgram';
import { isIPv6 } from 'node:net';
import { createInterface } from 'node:readline';

createInterface({ input: process.stdin }).on('line', (line) => {
  const [verb, host = '', port = '', text = ''] = line.split(' ');
  const socket = createSocket(isIPv6(host) ? 'udp6' : 'udp4');
  socket.on('message', (answer, { address, port: from }) => {
    console.log('answer', answer.toString(), address, from);
    socket.close();
  });
  const failed = (error: Error | null): void => {
    if (error !== null) console.log('error', (error as NodeJS.ErrnoException).code);
  };
  socket.on('error', failed);
  if (verb === 'ask') socket.send(text, Number(port), host, failed);
  else {
    const connected = (error?: Error): void => {
      failed(error ?? null);
      if (error) return;
      const { address, port: to } = socket.remoteAddress();
      console.log('connected', address, to);
      socket.send(text);
    };
    socket.connect(Number(port), host, connected as () => void); // the typings forget what it is given
  }
});
console.log('ready');
