/** A TCP server whose listener defers: the kernel hands it no connection before data came (TCP_DEFER_ACCEPT). Argument: port. */
import { createServer } from 'node:net';
import { setsockopt } from '#platform/ffi/libc.ts';

const [IPPROTO_TCP, TCP_DEFER_ACCEPT, SECONDS] = [6, 9, 30];

const server = createServer((socket) => socket.on('error', () => {}).pipe(socket));
server.listen({ port: Number(process.argv[2]), host: '::' }, () => {
  const { fd } = Reflect.get(server, '_handle') as { fd: number };
  const seconds = Buffer.alloc(4);
  seconds.writeInt32LE(SECONDS);
  if (setsockopt(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, seconds, 4) !== 0) throw new Error('this kernel defers no accept');
  console.log('listening');
});
