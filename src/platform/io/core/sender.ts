import { IO } from '#model/settings/io.ts';
import { ERRNO } from '#platform/ffi/libc.ts';
import type { Channel } from './channel.ts';
import type { Loop } from './loop.ts';
import { type ChunkPool, Outgoing } from './outgoing.ts';
import type { Task } from './tasks.ts';

/** The connection that a sender belongs to. */
export type SenderOwner = {
  readonly isOver: boolean;
  /** `result`: a negative errno. */
  fail(result: number): void;
  /** What is waited for may have changed. */
  listen(): void;
  /** There is room again, after `write` said false. */
  hasRoom(): void;
  /** Our direction has ended. */
  hasEnded(): void;
};

/** The direction of a connection in which we write: what comes together in a turn leaves as one piece at its end. */
export class Sender implements Task {
  channel: Channel;
  endSent = false;
  readonly #loop: Loop;
  readonly #owner: SenderOwner;
  readonly #outgoing: Outgoing;
  #planned = false;
  #blocked = false;
  #ended = false;
  #leaves = false;

  constructor({ loop, chunks }: { loop: Loop; chunks: ChunkPool }, channel: Channel, owner: SenderOwner) {
    this.#loop = loop;
    this.#owner = owner;
    this.#outgoing = new Outgoing(chunks);
    this.channel = channel;
  }

  /** That wait for the kernel. */
  get bytes(): number {
    return this.#outgoing.bytes + this.channel.unsent;
  }

  /** Only the descriptor can say when it goes on. */
  get isWaiting(): boolean {
    return this.bytes > 0 || (this.#ended && !this.endSent && !this.#planned);
  }

  /** `write` said false, and there is no room yet. */
  get isFull(): boolean {
    return this.#blocked;
  }

  /** False: so much waits that the caller should, too. */
  write(buffer: Buffer, start: number, end: number): boolean {
    if (this.#ended || end <= start) return true;
    this.#loop.moved(end - start);
    const result = this.#outgoing.put(this.channel, buffer, start, end);
    if (result < 0) {
      this.#owner.fail(result);
      return true;
    }
    if (this.bytes > 0) this.#plan();
    if (this.bytes < IO.pendingBytesMax) return true;
    this.run(); // much has come together in this turn: what the kernel takes of it leaves now
    if (this.bytes < IO.pendingBytesMax) return true;
    this.#blocked = true;
    return false;
  }

  /** `leaves`: the descriptor is closed right after it. */
  end(leaves: boolean): void {
    if (this.#ended) return;
    this.#leaves = leaves;
    this.#ended = true;
    this.#plan();
  }

  run(): void {
    this.#planned = false;
    if (this.#owner.isOver) return;
    let result = this.channel.flush();
    if (result === 0 && this.#outgoing.bytes > 0) result = this.#outgoing.send(this.channel);
    if (result < 0 && result !== -ERRNO.again) {
      this.#owner.fail(result);
      return;
    }
    if (this.#ended && !this.endSent && this.bytes === 0) this.#sendEnd();
    if (this.#owner.isOver) return;
    this.#owner.listen();
    if (!this.#blocked || this.bytes >= IO.pendingBytesMax) return;
    this.#blocked = false;
    this.#owner.hasRoom();
  }

  /** Lets go of what waits. */
  clear(): void {
    this.#outgoing.clear();
  }

  #plan(): void {
    if (this.#planned) return;
    this.#planned = true;
    this.#loop.late(this);
  }

  #sendEnd(): void {
    const failed = this.#leaves && this.channel.endsByClosing ? 0 : this.channel.finish();
    if (failed === -ERRNO.again) return; // once it can be written
    if (failed < 0) this.#owner.fail(failed);
    else {
      this.endSent = true;
      this.#owner.hasEnded();
    }
  }
}
