/** Once it is told a line, connects, writes, and is gone as soon as the kernel has taken all of it. Arguments: host, port, how many bytes. */
import { connect } from 'node:net';

const [host = '', port = '', bytes = ''] = process.argv.slice(2);
console.log(JSON.stringify({ event: 'listening', pid: process.pid }));
process.stdin.once('data', () => {
  const socket = connect({ host, port: Number(port) });
  socket.on('error', (error) => {
    console.error(error.message);
    process.exit(1);
  });
  socket.write(Buffer.alloc(Number(bytes), 'w'), () => process.exit(0));
});
