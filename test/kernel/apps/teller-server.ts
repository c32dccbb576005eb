/**
 * Each connection begins with a line "UP DOWN ENDING". Once all UP bytes have come (and its end, if the ending is after-end),
 * DOWN bytes are the answer, and the end is as the ending says.
 */
import { createServer } from 'node:net';

createServer({ allowHalfOpen: true }, (socket) => {
  let head = '';
  let received = 0;
  let isAnswered = false;
  const look = (isOver: boolean): void => {
    const [up = '', down = '', ending = ''] = head.split('\n')[0]?.split(' ') ?? [];
    if (isAnswered || !head.includes('\n') || received < Number(up) || (ending === 'after-end' && !isOver)) return;
    isAnswered = true;
    const bytes = Buffer.alloc(Number(down), 'd');
    if (ending === 'server-first' || ending === 'after-end') socket.end(bytes);
    else socket.write(bytes);
  };
  socket.on('data', (data) => {
    received += data.length;
    if (!head.includes('\n')) head += data.toString('latin1');
    look(false);
  });
  socket.on('end', () => {
    look(true);
    socket.end();
  });
  socket.on('error', () => {}); // a client that resets
}).listen(Number(process.argv[2]), '::', () => console.log('listening'));
