/**
 * Answers messages of stream.ts on a port and compares what comes. Arguments: port, and `mortal` where clients are killed, also before
 * they have said anything. After a line on standard input it says what became of
 * its connections; the first that went wrong are told at once.
 */
import { createServer, type Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { Expected, HEAD_BYTES, type Message, messageOf, SEED_BYTES, Written, wasReset } from './stream.ts';

const WRONG_TOLD_MAX = 20;
const tally = { connections: 0, open: 0, ended: 0, reset: 0, cut: 0, wrong: 0, bytes: 0 };

function wrong(what: string): void {
  tally.wrong++;
  if (tally.wrong <= WRONG_TOLD_MAX) console.log(JSON.stringify({ wrong: what }));
}

class Connection {
  readonly #socket: Socket;
  #kept = Buffer.alloc(0);
  #expected: Expected | null = null;
  #written: Written | null = null;
  /** Of whoever may be killed at any time, also amid a message. */
  #mortal = process.argv[3] === 'mortal';
  #message: Message | null = null;
  #upLeft = 0;
  #endsFirst = false;
  #cut = false;
  #replies: Promise<void> = Promise.resolve();

  constructor(socket: Socket) {
    this.#socket = socket;
    tally.connections++;
    tally.open++;
    socket.setNoDelay(true);
    socket.on('data', (chunk: Buffer) => this.#take(chunk));
    socket.on('end', () => this.#end());
    socket.on('error', (error: NodeJS.ErrnoException) => {
      tally.reset++;
      if (error.code !== 'ECONNRESET' && error.code !== 'EPIPE') wrong(`a connection failed: ${error.code}`);
    });
    socket.on('close', () => {
      tally.open--;
    });
  }

  #take(chunk: Buffer): void {
    if (this.#cut) return;
    tally.bytes += chunk.length;
    let rest = this.#kept.length > 0 ? Buffer.concat([this.#kept, chunk]) : chunk;
    this.#kept = Buffer.alloc(0);
    while (rest.length > 0) {
      const used = this.#step(rest);
      if (used === 0) {
        this.#kept = Buffer.from(rest);
        return;
      }
      rest = rest.subarray(used);
    }
  }

  /** Returns how many bytes were used; 0: more are needed. */
  #step(bytes: Buffer): number {
    if (this.#expected === null) {
      if (bytes.length < SEED_BYTES) return 0;
      const seed = bytes.readUInt32BE(0);
      this.#mortal ||= bytes[4] === 1;
      this.#expected = new Expected(seed);
      this.#written = new Written(this.#socket, seed + 1);
      return SEED_BYTES;
    }
    if (this.#message === null) {
      if (bytes.length < HEAD_BYTES) return 0;
      this.#begin(messageOf(bytes));
      return HEAD_BYTES;
    }
    const used = Math.min(this.#upLeft, bytes.length);
    const place = this.#expected.at;
    if (!this.#expected.next(bytes.subarray(0, used))) {
      wrong(`bytes at ${place} or after`);
      this.#socket.destroy();
      this.#cut = true;
      return bytes.length;
    }
    this.#upLeft -= used;
    if (this.#upLeft === 0) this.#whole(this.#message);
    return used;
  }

  #begin(message: Message): void {
    this.#message = message;
    this.#upLeft = message.up;
    if (message.stallMs > 0) {
      this.#socket.pause();
      setTimeout(() => this.#socket.resume(), message.stallMs);
    }
    if (message.reply === 'at-once') this.#reply(message);
    if (message.up === 0) this.#whole(message);
  }

  #whole(message: Message): void {
    if (message.reply === 'after-all') this.#reply(message);
    if (message.reply !== 'after-end') this.#message = null;
  }

  #reply({ down, cutAt, endsFirst }: Message): void {
    this.#endsFirst ||= endsFirst;
    this.#replies = this.#replies.then(async () => {
      await this.#written?.write(Math.min(down, cutAt));
      if (cutAt < down) {
        tally.cut++;
        this.#cut = true;
        this.#socket.resetAndDestroy();
      } else if (endsFirst) this.#socket.end();
    });
  }

  #end(): void {
    const message = this.#message;
    if (message?.reply === 'after-end' && this.#upLeft === 0) this.#reply(message);
    else if (!this.#mortal && !this.#cut && (message !== null || this.#kept.length > 0 || this.#expected === null))
      void wasReset(this.#socket).then((reset) => reset || wrong(`an end with ${this.#upLeft} bytes to come`));
    else if (!this.#cut) tally.ended++;
    void this.#replies.then(() => this.#endsFirst || this.#socket.end());
  }
}

createServer({ allowHalfOpen: true }, (socket) => void new Connection(socket)).listen(Number(process.argv[2]), '::', 4_096, () =>
  console.log(JSON.stringify({ event: 'listening', pid: process.pid })),
);
createInterface({ input: process.stdin }).on('line', () => console.log(JSON.stringify({ served: tally })));
