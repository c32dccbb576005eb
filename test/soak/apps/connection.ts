import { connect, type Socket } from 'node:net';
import { Expected, headOf, type Message, Written } from './stream.ts';

/** What became of connections, and of their bytes. */
export const tally = { open: 0, done: 0, reset: 0, cut: 0, refused: 0, stalled: 0, wrong: 0, bytesUp: 0, bytesDown: 0 };
/** How long somebody had to wait. */
export const slowest = { dialMs: 0, answerMs: 0, answers: 0, over100Ms: 0, overSecond: 0 };
const WRONG_TOLD_MAX = 20;

export function wrong(what: string): void {
  tally.wrong++;
  if (tally.wrong <= WRONG_TOLD_MAX) console.log(JSON.stringify({ wrong: what, ms: Math.round(performance.now()) }));
}

/** Whom to dial, and how. `mortal`: it may be killed at any time, and so may its server. */
export type Dialling = { readonly host: string; readonly port: number; readonly mortal: boolean; readonly seed: number };

type Outcome = 'end' | 'reset';

/** One connection: what comes is compared, and waited for by how much of it has come. */
export class Connection {
  readonly socket: Socket;
  readonly written: Written;
  readonly #expected: Expected;
  #due = 0;
  #arrived: (() => void) | null = null;
  #outcome: Outcome | null = null;
  readonly ended: Promise<Outcome>;

  private constructor(socket: Socket, { seed, mortal }: Dialling) {
    this.socket = socket;
    this.written = new Written(socket, seed);
    this.#expected = new Expected(seed + 1);
    socket.on('data', (chunk: Buffer) => {
      tally.bytesDown += chunk.length;
      if (!this.#expected.next(chunk)) {
        wrong(`bytes at ${this.#expected.at} or after`);
        socket.destroy();
      }
      if (this.#expected.at >= this.#due) this.#arrived?.();
    });
    this.ended = new Promise((resolve) => {
      const over = (outcome: Outcome): void => {
        this.#outcome ??= outcome;
        this.#arrived?.();
        resolve(this.#outcome);
      };
      socket.on('end', () => over('end'));
      socket.on('error', () => over('reset'));
      socket.on('close', () => {
        over('reset');
        tally.open--;
      });
    });
    const opening = Buffer.alloc(8);
    opening.writeUInt32BE(seed, 0);
    opening[4] = mortal ? 1 : 0;
    socket.write(opening);
  }

  /** Null: it was refused. */
  static open(dialling: Dialling): Promise<Connection | null> {
    const { host, port, mortal } = dialling;
    const since = performance.now();
    return new Promise((resolve) => {
      const socket = connect({ host, port, allowHalfOpen: true, noDelay: true });
      socket.once('connect', () => {
        slowest.dialMs = Math.max(slowest.dialMs, performance.now() - since);
        tally.open++;
        socket.off('error', refused);
        resolve(new Connection(socket, dialling));
      });
      const refused = (error: NodeJS.ErrnoException): void => {
        tally.refused++;
        if (!mortal) wrong(`a dial failed: ${error.code}`);
        resolve(null);
      };
      socket.once('error', refused);
    });
  }

  /** How the other side ended, so far. */
  get outcome(): Outcome | null {
    return this.#outcome;
  }

  get received(): number {
    return this.#expected.at;
  }

  /** `pause`: what is waited for between its pieces. */
  async send(message: Message, pause?: () => Promise<void> | null): Promise<void> {
    this.socket.write(headOf(message));
    tally.bytesUp += message.up;
    await this.written.write(message.up, pause);
  }

  /** Whether so many bytes have come in all. */
  async await(due: number): Promise<boolean> {
    this.#due = due;
    if (this.received < due && this.#outcome === null) await new Promise<void>((resolve) => (this.#arrived = resolve));
    this.#arrived = null;
    return this.received >= due;
  }
}
