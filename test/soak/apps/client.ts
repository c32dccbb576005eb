/**
 * Keeps so many connections of every kind going. Arguments: host, port, connections, how long one lives at the mean (ms), seed, and who
 * it is: `crowd`; `mortal`, whose ends or whose server may be killed at any time; `talkers`, whose every answer is timed; `stallers`,
 * which all stop reading at once. Lines on standard input: `report`, and `finish`, after which nothing new begins and everything is brought to its end.
 */
import { createInterface } from 'node:readline';
import { Connection, slowest, tally, wrong } from './connection.ts';
import { type Message, WHOLE, wasReset } from './stream.ts';

const [host = '', port = '', count = '1', life = '1000', first = '1', who = 'crowd'] = process.argv.slice(2);
const LIFE_MS = Number(life);
const MORTAL = who === 'mortal';
const TIMED = who === 'talkers';
const TALK_PERIOD_MS = 200;
const STALL_MS_MAX = 10_000;
/** More than the window of a stream and what two kernels keep. */
const TOGETHER_BYTES = 6 * 1_048_576;

let state = Number(first) || 1;
function random(): number {
  state ^= state << 13;
  state ^= state >>> 17;
  state ^= state << 5;
  return (state >>> 0) / 0x1_0000_0000;
}
const below = (bound: number): number => Math.floor(random() * bound);
const between = (least: number, most: number): number =>
  Math.round(Math.exp(Math.log(least) + random() * Math.log(most / least)));
const [KIB, MIB] = [1_024, 1_048_576];

let finishing = false;
let wakeAll: () => void = () => {};
const finish = new Promise<void>((resolve) => {
  wakeAll = resolve;
});

/** Ends early once everything is to end. */
function rest(ms: number): Promise<void> | null {
  if (finishing || ms < 1) return null;
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    void finish.then(() => {
      clearTimeout(timer);
      resolve();
    });
  });
}

const open = (): Promise<Connection | null> =>
  Connection.open({ host, port: Number(port), mortal: MORTAL, seed: below(0xffff_fff0) });
/** Between the pieces of a message that takes its time. */
const dribble = (ms: number) => (): Promise<void> | null => rest(random() * ms);

const plain = (up: number, down: number): Message => ({
  up,
  down,
  reply: random() < 0.5 ? 'at-once' : 'after-all',
  endsFirst: false,
  stallMs: 0,
  cutAt: WHOLE,
});

const sizes = (): [number, number] =>
  random() < 0.02 ? [between(MIB, 4 * MIB), between(MIB, 4 * MIB)] : [between(1, 128 * KIB), between(1, 128 * KIB)];

/** What a whole connection has come to: every byte down, and nothing but the end after it. */
async function brought(connection: Connection, down: number, what: string): Promise<void> {
  const whole = await connection.await(down);
  const outcome = await connection.ended;
  if (whole && outcome === 'end' && connection.received === down) tally.done++;
  else if (!MORTAL) wrong(`${what}: ${connection.received} of ${down} bytes, then ${outcome}`);
}

/** The client ends first, the server does, or both when all has been said. */
async function exchange(connection: Connection): Promise<void> {
  const [up, down] = sizes();
  const kind = below(3);
  if (kind === 0) {
    await connection.send({ ...plain(up, down), reply: 'after-end' }, dribble(LIFE_MS / 8));
    await rest(random() * LIFE_MS);
    connection.socket.end();
  } else if (kind === 1) {
    await connection.send({ ...plain(up, down), endsFirst: true }, dribble(LIFE_MS / 8));
    await connection.await(down);
    const outcome = await connection.ended;
    if (outcome !== 'end' && !MORTAL) wrong(`an end of the server's side came as ${outcome}`);
    await rest(random() * LIFE_MS);
    await connection.send(plain(between(1, 128 * KIB), 0));
    connection.socket.end();
  } else {
    await connection.send(plain(up, down), dribble(LIFE_MS / 8));
    await connection.await(down);
    await rest(random() * LIFE_MS);
    connection.socket.end();
  }
  await brought(connection, down, `exchange ${kind}`);
}

async function talk(connection: Connection): Promise<void> {
  let down = 0;
  const messages = 2 + below(6);
  for (let at = 0; at < messages && connection.outcome === null; at++) {
    const message = plain(between(1, 16 * KIB), between(1, 16 * KIB));
    down += message.down;
    await connection.send(message);
    await connection.await(down);
    await rest((random() * 2 * LIFE_MS) / messages);
  }
  connection.socket.end();
  await brought(connection, down, 'talk');
}

/** One of both does not read for a while, with more under way than its kernel keeps for it. */
async function stall(connection: Connection): Promise<void> {
  const stallMs = Math.min(STALL_MS_MAX, Math.round(LIFE_MS * (0.5 + random())));
  const amount = between(MIB, 4 * MIB);
  if (random() < 0.5) return stalled(connection, plain(1, amount), stallMs);
  return stalled(connection, { ...plain(amount, 1), stallMs }, 0);
}

async function stalled(connection: Connection, message: Message, hereMs: number): Promise<void> {
  tally.stalled++;
  if (hereMs > 0) connection.socket.pause();
  const sent = connection.send(message);
  await rest(hereMs);
  connection.socket.resume();
  await sent;
  await connection.await(message.down);
  connection.socket.end();
  await brought(connection, message.down, 'stall');
}

/** All at once, so that they share a tunnel with each other, and with whoever comes next. */
async function stallTogether(): Promise<void> {
  while (!finishing) {
    const together = Array.from({ length: Number(count) }, async () => {
      const connection = await open();
      if (connection !== null) await stalled(connection, { ...plain(1, TOGETHER_BYTES), reply: 'after-all' }, LIFE_MS);
    });
    await Promise.all(together);
    await rest(random() * LIFE_MS);
  }
}

/** One of both resets amid a message. */
async function kill(connection: Connection): Promise<void> {
  const [up, down] = [between(KIB, MIB), between(KIB, MIB)];
  if (random() < 0.5) {
    void connection.send({ ...plain(up, down), reply: 'at-once' }, dribble(10));
    await connection.await(below(down));
    await rest(random() * LIFE_MS);
    if (connection.outcome !== null && !MORTAL) wrong(`it ended by itself: ${connection.outcome}`);
    connection.socket.resetAndDestroy();
    await connection.ended;
    tally.cut++;
    return;
  }
  void connection.send({ ...plain(up, down), cutAt: below(down) });
  const outcome = await connection.ended;
  if (outcome === 'reset' || (await wasReset(connection.socket))) tally.reset++;
  else if (!MORTAL) wrong('a reset came as an end');
  connection.socket.destroy();
}

async function live(): Promise<void> {
  await rest(random() * LIFE_MS); // as many a second as later
  while (!finishing) {
    const connection = await open();
    if (connection === null) {
      await rest(100);
      continue;
    }
    const kind = random();
    await (kind < 0.48 ? exchange : kind < 0.9 ? talk : kind < 0.93 ? stall : kill)(connection);
    connection.socket.destroySoon();
    await rest(random() * 100);
  }
}

/** Small messages, each timed; and a new connection now and then. */
async function talkForEver(): Promise<void> {
  while (!finishing) {
    await rest(random() * TALK_PERIOD_MS);
    const connection = await open();
    if (connection === null) continue;
    let down = 0;
    for (let at = 0; at < 25 && !finishing && connection.outcome === null; at++) {
      const since = performance.now();
      await connection.send({ ...plain(64, 64), reply: 'after-all' });
      down += 64;
      await connection.await(down);
      const tookMs = performance.now() - since;
      slowest.answers++;
      if (tookMs > 100) slowest.over100Ms++;
      if (tookMs > 1_000) slowest.overSecond++;
      slowest.answerMs = Math.max(slowest.answerMs, tookMs);
      await rest(TALK_PERIOD_MS);
    }
    connection.socket.end();
    await brought(connection, down, 'talk of the talkers');
  }
}

const all = who === 'stallers' ? [stallTogether()] : Array.from({ length: Number(count) }, TIMED ? talkForEver : live);
createInterface({ input: process.stdin }).on('line', async (line) => {
  if (line === 'finish') {
    finishing = true;
    wakeAll();
    await Promise.all(all);
  }
  console.log(JSON.stringify({ told: { ...tally, ...slowest } }));
});
console.log(JSON.stringify({ event: 'listening', pid: process.pid }));
