import net from 'node:net';
import type { Duplex } from 'node:stream';
import { IO } from '#model/settings/io.ts';

/** What happens to bytes that were written. */
export type OutgoingEvents = {
  /** There is room again, after `write` said false. From the loop. */
  room(): void;
};

/** What is written to a socket of Node.js: gathered in a turn, sent as one piece, and then its end. */
export class Outgoing {
  readonly #socket: Duplex;
  readonly #events: OutgoingEvents;
  /** Bytes that wait below the socket. */
  readonly #below: () => number;
  #gathered: Buffer[] = [];
  #gatheredBytes = 0;
  /** Writes that Node.js is not done with. */
  #underWay = 0;
  #flushPlanned = false;
  /** `write` said false. */
  #blocked = false;
  #roomPlanned = false;
  #isOver = false;
  hasEnded = false;

  constructor(socket: Duplex, events: OutgoingEvents, below: () => number) {
    this.#socket = socket;
    this.#events = events;
    this.#below = below;
  }

  get bytes(): number {
    return this.#isOver ? 0 : this.#gatheredBytes + this.#socket.writableLength + this.#below();
  }

  /** Copies. False: wait for `room`. */
  write(buffer: Buffer, start: number, end: number): boolean {
    if (this.#isOver || this.hasEnded || end <= start) return true;
    this.#gathered.push(Buffer.from(buffer.subarray(start, end)));
    this.#gatheredBytes += end - start;
    if (this.#gatheredBytes >= IO.pendingBytesMax) this.flush();
    else this.#planFlush();
    if (this.bytes < IO.pendingBytesMax) return true;
    this.#blocked = true;
    return false;
  }

  /** At the end of the turn: node:tls must not be ended from inside of what it delivers. */
  end(): void {
    if (this.hasEnded || this.#isOver) return;
    this.hasEnded = true;
    this.#planFlush();
  }

  /** Sends what this turn has written so far. */
  flush(): void {
    if (this.#isOver) return;
    if (this.#gatheredBytes > 0) {
      const [only] = this.#gathered;
      const bytes = this.#gathered.length === 1 && only !== undefined ? only : Buffer.concat(this.#gathered, this.#gatheredBytes);
      this.#gathered = [];
      this.#gatheredBytes = 0;
      this.#underWay++;
      this.#socket.write(bytes, this.#onWritten);
    }
    // Not before: a socket whose end waits behind bytes cannot be reset.
    if (this.hasEnded && this.#underWay === 0) this.#socket.end();
  }

  /** What was not sent is lost, and what comes goes nowhere. */
  stop(): void {
    this.#isOver = true;
    this.#gathered = [];
    this.#gatheredBytes = 0;
  }

  #planFlush(): void {
    if (this.#flushPlanned) return;
    this.#flushPlanned = true;
    setImmediate(this.#onFlush);
  }

  readonly #onFlush = (): void => {
    this.#flushPlanned = false;
    this.flush();
  };

  readonly #onWritten = (): void => {
    this.#underWay--;
    if (this.#isOver) return;
    if (this.hasEnded) this.flush();
    if (!this.#blocked || this.#roomPlanned || this.bytes >= IO.pendingBytesMax) return;
    this.#roomPlanned = true;
    // Not from inside of this: whoever is told may reset the socket, which is still saying that it has written.
    setImmediate(this.#onRoom);
  };

  readonly #onRoom = (): void => {
    this.#roomPlanned = false;
    this.#blocked = false;
    if (!this.#isOver) this.#events.room();
  };
}

/** Breaks a connection off, so that the peer sees a reset where there is such a thing. */
export function cutOff(socket: Duplex): void {
  // Node.js loses the descriptor of a socket that is reset while its end is being sent, which takes a turn at most.
  if (socket instanceof net.Socket && socket.writableEnded && !socket.writableFinished)
    socket.once('finish', () => resetNow(socket));
  else resetNow(socket);
}

function resetNow(socket: Duplex): void {
  if (socket.destroyed) return;
  try {
    if ('resetAndDestroy' in socket && typeof socket.resetAndDestroy === 'function') socket.resetAndDestroy();
    else socket.destroy();
  } catch {
    socket.destroy(); // a unix socket: it has no resets
  }
}
