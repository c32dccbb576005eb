/**
 * Dials targets over and over, each a few at a time: sends "hello" on each connection and waits for an answer. Arguments:
 * HOST/PORT of each target. On "report" it prints, for each target in turn, how many dials were answered, opened and refused
 * since the last report; on "hold" it keeps the connections that were opened from then on.
 */
import { connect, type Socket } from 'node:net';
import { createInterface } from 'node:readline';

type Tally = { answered: number; opened: number; refused: number };

const AT_ONCE = 4;
const PATIENCE_MS = 300;
const targets = process.argv.slice(3);
const tallies: Tally[] = targets.map(() => ({ answered: 0, opened: 0, refused: 0 }));
const kept = new Set<Socket>();
let keeps = false;

function dial(at: number): void {
  const [host = '', port = ''] = (targets[at] ?? '').split('/');
  const tally = tallies[at];
  if (tally === undefined) return;
  const socket = connect({ host, port: Number(port) });
  let over = false;
  const next = (): void => {
    if (over) return;
    over = true;
    setTimeout(() => dial(at), 1);
  };
  socket.setTimeout(PATIENCE_MS, () => socket.destroy());
  socket.on('connect', () => {
    tally.opened++;
    socket.write('hello');
  });
  socket.on('data', () => {
    tally.answered++;
    socket.setTimeout(0);
    if (keeps && kept.size < 200) {
      kept.add(socket);
      socket.on('close', () => kept.delete(socket));
      next();
    } else socket.destroy();
  });
  socket.on('error', () => tally.refused++);
  socket.on('close', next);
}

createInterface({ input: process.stdin }).on('line', (line) => {
  if (line === 'hold') keeps = true;
  if (line === 'kept') console.log(kept.size);
  if (line !== 'report') return;
  console.log(JSON.stringify(tallies));
  for (const tally of tallies) Object.assign(tally, { answered: 0, opened: 0, refused: 0 });
});
for (const at of targets.keys()) for (let one = 0; one < AT_ONCE; one++) dial(at);
console.log('ready');
