import type { Socket } from 'node:net';

// What both ends of a soaked connection know: which byte comes at which place. A connection is a seed (SEED_BYTES) and then messages,
// each a head (HEAD_BYTES) and its bytes up; its bytes down come back on the same connection. Places count on from message to message.

/** A prime, so that no cut and no chunk falls on its end twice in the same way. */
const BLOCK_BYTES = 1_048_583;
const BLOCK = randomBlock();
const PIECE_BYTES = 64 * 1_024;

export const SEED_BYTES = 8;
export const HEAD_BYTES = 16;
/** A message whose reply is not cut. */
export const WHOLE = 0xffff_ffff;

/** What the server does with a message. */
export type Message = {
  readonly up: number;
  readonly down: number;
  /** When the reply begins: with the head, after the last byte up, or after the client's end. */
  readonly reply: 'at-once' | 'after-all' | 'after-end';
  /** The server ends its side after the reply, while the client still writes. */
  readonly endsFirst: boolean;
  /** How long the server does not read once it has the head, in milliseconds. */
  readonly stallMs: number;
  /** The server resets the connection instead of the reply's byte at this place. */
  readonly cutAt: number;
};

const REPLIES = ['at-once', 'after-all', 'after-end'] as const;

export function headOf({ up, down, reply, endsFirst, stallMs, cutAt }: Message): Buffer {
  const head = Buffer.alloc(HEAD_BYTES);
  head.writeUInt32BE(up, 0);
  head.writeUInt32BE(down, 4);
  head.writeUInt32BE(cutAt, 8);
  head.writeUInt16BE(stallMs, 12);
  head[14] = REPLIES.indexOf(reply);
  head[15] = endsFirst ? 1 : 0;
  return head;
}

export function messageOf(head: Buffer): Message {
  return {
    up: head.readUInt32BE(0),
    down: head.readUInt32BE(4),
    cutAt: head.readUInt32BE(8),
    stallMs: head.readUInt16BE(12),
    reply: REPLIES[head[14] ?? 0] ?? 'at-once',
    endsFirst: head[15] === 1,
  };
}

/** A stream of bytes that are compared one by one as they come. */
export class Expected {
  readonly #seed: number;
  at = 0;
  constructor(seed: number) {
    this.#seed = seed;
  }

  /** Whether these are the next bytes. */
  next(chunk: Buffer): boolean {
    for (let done = 0; done < chunk.length; ) {
      const from = (this.#seed + this.at) % BLOCK_BYTES;
      const bytes = Math.min(chunk.length - done, BLOCK_BYTES - from);
      if (chunk.compare(BLOCK, from, from + bytes, done, done + bytes) !== 0) return false;
      done += bytes;
      this.at += bytes;
    }
    return true;
  }
}

/** The same stream, written. */
export class Written {
  readonly #seed: number;
  readonly #socket: Socket;
  #at = 0;
  constructor(socket: Socket, seed: number) {
    this.#socket = socket;
    this.#seed = seed;
  }

  /** Writes the next bytes as the socket takes them; `rest` is waited for between pieces. Returns early when the socket is closed. */
  async write(bytes: number, rest: () => Promise<unknown> | null = () => null): Promise<void> {
    for (let left = bytes; left > 0 && !this.#socket.destroyed; ) {
      const from = (this.#seed + this.#at) % BLOCK_BYTES;
      const size = Math.min(left, BLOCK_BYTES - from, PIECE_BYTES);
      this.#at += size;
      left -= size;
      if (!this.#socket.write(BLOCK.subarray(from, from + size))) await drained(this.#socket);
      await rest();
    }
  }
}

/**
 * Whether an end that was told too early was a reset: Node tells a reset as an end when bytes were before it. The kernel takes nothing
 * more then, while after an end it does.
 */
export function wasReset(socket: Socket): Promise<boolean> {
  if (socket.destroyed) return Promise.resolve(true);
  return new Promise((resolve) => socket.write('?', (error) => resolve(error !== null && error !== undefined)));
}

function drained(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      socket.off('drain', done).off('close', done);
      resolve();
    };
    socket.on('drain', done).on('close', done);
  });
}

function randomBlock(): Buffer {
  const block = Buffer.alloc(BLOCK_BYTES);
  let state = 0x9e37_79b9;
  for (let at = 0; at < BLOCK_BYTES; at++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    block[at] = state;
  }
  return block;
}
