/**
 * A host that opens connections and says nothing on them, and opens new ones for those that are closed. Argument: JSON with
 * `host`, `port`, `sources` (local addresses, by turns) and `count`. Prints `{"opened":…}` four times a second: those that the
 * other side's kernel took, whether or not they were reset before this program looked.
 */
import { connect, type Socket } from 'node:net';

const TURN_MS = 20;
/** Beginnings in one turn: a flood that takes this machine's processors away would test the machine. */
const PER_TURN = 60;
const TELL_MS = 250;

const { host, port, sources, count } = JSON.parse(process.argv[2] ?? '{}') as {
  host: string;
  port: number;
  sources: string[];
  count: number;
};
const open = new Set<Socket>();
let opened = 0;
let turn = 0;

function one(): void {
  const socket = connect({ host, port, localAddress: sources[turn++ % sources.length] });
  open.add(socket);
  let seen = false;
  socket.on('connect', () => {
    seen = true;
    opened++;
  });
  socket.on('error', ({ code }: NodeJS.ErrnoException) => {
    // One that is not taken is refused, or times out.
    if (!seen && code === 'ECONNRESET') opened++;
  });
  socket.on('close', () => open.delete(socket));
}

setInterval(() => {
  for (let at = 0; at < PER_TURN && open.size < count; at++) one();
}, TURN_MS);
setInterval(() => {
  process.stdout.write(`${JSON.stringify({ opened })}\n`);
}, TELL_MS);
