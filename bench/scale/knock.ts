import { connect } from 'node:net';

// Run as a workload: connects to a host and port again and again, and says, as a line of JSON, when that begins to succeed and when
// it begins to be refused.

/** How often it connects. */
const EVERY_MS = 2;
const [host = '', port = ''] = process.argv.slice(2);
let was: boolean | null = null;

function knock(): void {
  const socket = connect(Number(port), host);
  const tell = (isOpen: boolean): void => {
    socket.destroy();
    if (isOpen !== was) process.stdout.write(`${JSON.stringify({ isOpen, atMs: Date.now() })}\n`);
    was = isOpen;
    setTimeout(knock, EVERY_MS);
  };
  socket.once('connect', () => tell(true));
  socket.once('error', () => tell(false));
}
knock();
