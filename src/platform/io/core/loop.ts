import { HEADROOM_BYTES } from '#model/effects/byte-stream.ts';
import type { Mishaps } from '#model/effects/mishaps.ts';
import { WeftError } from '#model/error.ts';
import { IO } from '#model/settings/io.ts';
import { FairQueue } from '#model/share/fair-queue.ts';
import { ERRNO, errnoName } from '#platform/ffi/libc.ts';
import { Memory } from '#platform/ffi/memory.ts';
import { EPOLL, EventList, Libuv, type Syscalls } from '#platform/ffi/syscalls.ts';
import { NODE_INTERNALS, type NodeInternals, NodeTurns } from './node-turns.ts';
import { type Task, Tasks } from './tasks.ts';

/** What a descriptor is ready for. Fixed by Linux. */
export const READY = { read: 0x1, write: 0x4, error: 0x8, hangUp: 0x10, peerEnd: 0x2000 } as const;

/** Something that waits for its descriptor, or for its turn. What it throws is reported, and costs nobody else. */
export type Watcher = {
  /** `events`: bits of READY. */
  ready(events: number): void;
};

/** The place of a descriptor in a loop; `generation` tells its events from those of a former one at the same place. */
export type Watch = { readonly fd: number; readonly slot: number; readonly generation: number; events: number };

/** Keeps the process alive while there are descriptors. Fixed by Node.js: the longest timer. */
const FOREVER_MS = 2 ** 31 - 1;
const LIBUV_SLOT = 0xffff_ffff;
const noop = (): void => {};

/** Where a loop cannot go on, nobody is served: better to end than to turn for ever. */
function unusable(why: string): WeftError {
  return new WeftError('WEFT_FFI', `the I/O core cannot run here: ${why}`, {
    remedy: 'use the Node.js that the project pins, or WEFT_IO=node',
  });
}

/**
 * One thread's loop over descriptors: it blocks in an epoll of its own, in which libuv's back-end descriptor is one of many,
 * and goes round libuv whenever that has something to do, so that timers and what else Node.js does go on; promises go on in each
 * turn. A turn ends with what its watchers wrote being sent, each in one piece. Where there is much to move, those who have much of it
 * wait for their turn, and all others go first: a message of one workload is not held up by the bulk of another.
 */
export class Loop {
  readonly calls: Syscalls;
  /** What every descriptor is read into; lent to readers during their call, with room in front. */
  readonly input = new Memory(HEADROOM_BYTES + IO.readBytes);
  readonly #mishaps: Mishaps;
  readonly #epoll: number;
  readonly #list = new EventList(IO.eventsPerTurnMax);
  readonly #libuv = new Libuv();
  readonly #turns: NodeTurns;
  #watchers: (Watcher | null)[] = [];
  #generations: number[] = [];
  #free: number[] = [];
  #watched = 0;
  #soon = new Tasks();
  #late = new Tasks();
  /** Empty, for the tasks that come while those are done. */
  #spare = new Tasks();
  /** Those with much to move, by the address of their peer: on a node that is whose they are. */
  readonly #much = new FairQueue<Task>();
  #movedBytes = 0;
  /** When those began who are served now: of an event, or in their turn. */
  #beganMs = 0;
  #keepAlive: NodeJS.Timeout | null = null;
  #running = false;
  #isLibuvReady = false;

  /** Errors: WEFT_FFI where this Node.js or this kernel does not do what it needs. */
  constructor(calls: Syscalls, mishaps: Mishaps, internals: NodeInternals = NODE_INTERNALS) {
    this.calls = calls;
    this.#mishaps = mishaps;
    this.#turns = new NodeTurns(internals, mishaps);
    this.#epoll = calls.epollCreate();
    if (this.#epoll < 0) throw unusable(`epoll_create1: ${errnoName(-this.#epoll)}`);
    const failed = calls.epollCtl(this.#epoll, EPOLL.add, this.#libuv.fd, READY.read, LIBUV_SLOT, 0);
    if (failed < 0) throw unusable(`epoll_ctl: ${errnoName(-failed)}`);
  }

  /** Begins to watch; errors and hang-ups are told always. The result, or the negative errno. */
  watch(fd: number, events: number, watcher: Watcher): Watch | number {
    const slot = this.#free.pop() ?? this.#watchers.length;
    const generation = ((this.#generations[slot] ?? 0) + 1) >>> 0;
    const failed = this.calls.epollCtl(this.#epoll, EPOLL.add, fd, events, slot, generation);
    if (failed < 0) {
      this.#free.push(slot);
      return failed;
    }
    this.#watchers[slot] = watcher;
    this.#generations[slot] = generation;
    this.#watched++;
    this.#start();
    return { fd, slot, generation, events };
  }

  /** 0, or the negative errno: nothing will be told then. */
  change(watch: Watch, events: number): number {
    if (watch.events === events) return 0;
    watch.events = events;
    return this.calls.epollCtl(this.#epoll, EPOLL.change, watch.fd, events, watch.slot, watch.generation);
  }

  /** Watches no more: an event of this turn that is still to be told goes to nobody. */
  forget(watch: Watch): void {
    // If it fails, the close that follows does the same.
    if (this.#isWatched(watch)) this.calls.epollCtl(this.#epoll, EPOLL.remove, watch.fd, 0, 0, 0);
    this.forgetClosing(watch);
  }

  /** The same for one that is closed next, and that nobody else has: that takes it out of epoll, too, and saves a call. */
  forgetClosing(watch: Watch): void {
    if (!this.#isWatched(watch)) return;
    this.#watchers[watch.slot] = null;
    this.#free.push(watch.slot);
    this.#watched--;
  }

  #isWatched({ slot, generation }: Watch): boolean {
    return this.#generations[slot] === generation && this.#watchers[slot] !== null;
  }

  /** In this turn or the next, but not from inside of the caller. */
  soon(task: Task): void {
    this.#soon.add(task);
    this.#start();
  }

  /** At the end of the turn, when nothing is left that `soon` was asked for. */
  late(task: Task): void {
    this.#late.add(task);
    this.#start();
  }

  /** Bytes were read or written. */
  moved(bytes: number): void {
    this.#movedBytes += bytes;
  }

  /** So many have been in this turn, or it has taken so long, that who has many more should wait, by `inTurn`. */
  get isFull(): boolean {
    return this.#movedBytes >= IO.turnBytesMax || performance.now() - this.#beganMs >= IO.turnMs;
  }

  /** Others wait for their turn: who has much to move waits behind them, and goes on by small pieces. */
  get isCrowded(): boolean {
    return this.#much.size > 0;
  }

  /** When it is the turn of `owner`, and of this among all that it has waiting. */
  inTurn(owner: string, task: Task): void {
    this.#much.add(owner, task);
    this.#start();
  }

  #start(): void {
    if (this.#running) return;
    this.#running = true;
    this.#keepAlive = setInterval(noop, FOREVER_MS);
    setImmediate(this.#turn);
  }

  /** As long as libuv has nothing to do it is spared its turns: whoever used it in one of ours shows in how long it would wait. */
  readonly #turn = (): void => {
    this.#turns.begin();
    this.#isLibuvReady = false;
    for (let round = 0; round < this.#turns.roundsMax && !this.#isLibuvReady; round++) {
      // Nobody waits for an event with a promise to keep.
      if (this.#finish()) {
        if (!this.#turns.keepsPromises) break;
        this.#turns.runPromises();
      }
      if (this.#watched === 0) {
        this.#stop();
        return;
      }
      const timeoutMs = this.#turns.wait(this.#libuv.timeoutMs);
      if (timeoutMs === 0 && round > 0) break;
      const waits = timeoutMs !== 0 && this.#soon.count === 0 && this.#late.count === 0 && this.#much.size === 0;
      const count = this.calls.epollWait(this.#epoll, this.#list, waits ? timeoutMs : 0);
      if (count < 0 && count !== -ERRNO.interrupted) throw unusable(`epoll_wait: ${errnoName(-count)}`);
      if (waits) this.#libuv.updateTime();
      this.#movedBytes = 0;
      this.#beganMs = performance.now();
      for (let at = 0; at < count; at++) this.#tell(this.#list.slot(at), this.#list.generation(at), this.#list.events(at));
      this.#finish();
      this.#moveMuch();
      this.#turns.runPromises();
    }
    setImmediate(this.#turn);
  };

  #stop(): void {
    this.#running = false;
    if (this.#keepAlive !== null) clearInterval(this.#keepAlive);
  }

  #tell(slot: number, generation: number, events: number): void {
    if (slot === LIBUV_SLOT) {
      this.#isLibuvReady = true;
      return;
    }
    if (this.#generations[slot] !== generation) return;
    const watcher = this.#watchers[slot];
    if (watcher === null || watcher === undefined) return;
    try {
      watcher.ready(events);
    } catch (error) {
      this.#mishaps.report('relay', error);
    }
  }

  /** As much again as others have moved in this turn: neither can keep the other from going on. */
  #moveMuch(): void {
    if (this.#much.size === 0) return;
    this.#movedBytes = 0;
    this.#beganMs = performance.now();
    // Each at most once: what waits anew was served just now.
    for (let left = this.#much.size; left > 0 && !this.isFull; left--) {
      try {
        this.#much.take()?.run();
      } catch (error) {
        this.#mishaps.report('relay', error);
      }
    }
    this.#finish();
  }

  /** Tasks may bring others; those that go on and on have to wait for the next turn. False: there were none. */
  #finish(): boolean {
    if (this.#soon.count === 0 && this.#late.count === 0) return false;
    for (let round = 0; round < IO.roundsPerTurnMax && (this.#soon.count > 0 || this.#late.count > 0); round++) {
      const tasks = this.#soon.count > 0 ? this.#soon : this.#late;
      if (tasks === this.#soon) this.#soon = this.#spare;
      else this.#late = this.#spare;
      tasks.run(this.#mishaps);
      this.#spare = tasks;
    }
    return true;
  }
}
