/**
 * Dials targets over and over. Arguments: HOST/PORT of each. Commands on standard input:
 * "epoch" prints, for each target, how many dials that began since the last epoch were answered, opened and failed;
 * "hold N" keeps up to N answered connections open from now on, and ticks on them; "held" prints how many of them are open;
 * "copies" starts two copies of itself, which end by SIGKILL alone; "orphans" does so and ends.
 */
import { spawn } from 'node:child_process';
import { connect, type Socket } from 'node:net';
import { createInterface } from 'node:readline';

type Tally = { answered: number; opened: number; failed: number };

const AT_ONCE = 2;
const PATIENCE_MS = 1_000;
const PAUSE_MS = 4;
const TICK_MS = 50;
const targets = process.argv.slice(2);
const isOrphan = process.env.WEFT_ORPHAN === '1';
const held = new Set<Socket>();
let epoch = targets.map(blank);
let holdMax = 0;

function blank(): Tally {
  return { answered: 0, opened: 0, failed: 0 };
}

function dial(at: number): void {
  const [host = '', port = ''] = (targets[at] ?? '').split('/');
  const tally = epoch[at] ?? blank(); // a dial counts in the epoch in which it began
  const socket = connect({ host, port: Number(port) });
  let over = false;
  const next = (): void => {
    if (over) return;
    over = true;
    setTimeout(() => dial(at), PAUSE_MS);
  };
  socket.setTimeout(PATIENCE_MS, () => socket.destroy());
  socket.on('connect', () => {
    tally.opened++;
    socket.write('hello');
  });
  socket.once('data', () => {
    tally.answered++;
    if (held.size >= holdMax) return void socket.destroy();
    socket.setTimeout(0);
    held.add(socket);
    socket.on('data', () => {});
    next();
  });
  socket.on('error', () => tally.failed++);
  socket.on('close', () => {
    held.delete(socket);
    next();
  });
}

function startCopies(): void {
  for (let one = 0; one < 2; one++) {
    const argv = [import.meta.filename, ...targets];
    spawn(process.execPath, argv, { detached: true, stdio: 'ignore', env: { ...process.env, WEFT_ORPHAN: '1' } }).unref();
  }
}

if (isOrphan) for (const name of ['SIGTERM', 'SIGHUP', 'SIGINT'] as const) process.on(name, () => {});
setInterval(() => {
  for (const socket of held) socket.write('tick');
}, TICK_MS);
if (!isOrphan)
  createInterface({ input: process.stdin }).on('line', (line) => {
    const [verb, count = '0'] = line.split(' ');
    if (verb === 'hold') holdMax = Number(count);
    if (verb === 'held') console.log(JSON.stringify({ held: held.size }));
    if (verb === 'copies' || verb === 'orphans') startCopies();
    if (verb === 'orphans') setTimeout(() => process.exit(0), 1_500);
    if (verb !== 'epoch') return;
    console.log(JSON.stringify({ epoch }));
    epoch = targets.map(blank);
  });
for (const at of targets.keys()) for (let one = 0; one < AT_ONCE; one++) dial(at);
console.log(JSON.stringify({ event: 'listening', pid: process.pid }));
