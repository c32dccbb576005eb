import type { IpAddress } from '#model/address/ip.ts';
import type { Cancel, Clock } from '#model/effects/clock.ts';
import type { DoorCause } from '#model/telemetry/close-cause.ts';
import { SourceBook, type SourcePace, strangerKey } from './source-book.ts';

/** How much unproved work is held at once, and for how long. */
export type DoorLimits = {
  /** Connections that wait, of known and unknown sources together. */
  waitingMax: number;
  /** Those of unknown sources, at least half of `waitingMax`; what is left is kept for known ones. */
  strangersMax: number;
  /** Those of one unknown source. */
  perStrangerMax: number;
  /** How long one may take, when few wait. */
  deadlineMs: number;
  /** How long one of an unknown source may take, when all places are taken. */
  pressedDeadlineMs: number;
  pace: SourcePace;
};

/** What a doorkeeper is told. */
export type DoorOptions = {
  limits: DoorLimits;
  clock: Clock;
  /** Whether an address is one of the mesh: its connections come first. */
  isKnown(ip: IpAddress): boolean;
  /** Is told each connection that is closed, or not let in. */
  onClosed?(cause: DoorCause): void;
};

/** A connection that is let in and has proved nothing yet. One of these ends its waiting; further calls do nothing. */
export type Waiting = {
  /** It has shown who it is, and is no longer the doorkeeper's. */
  proved(): void;
  /** It has ended without that, whoever ended it. */
  ended(): void;
  /** It has ended, and there was nothing to prove. */
  done(): void;
};

type Entry = { source: Source; ip: IpAddress; sinceMs: number; close(cause: DoorCause): void };
type Source = { key: string; line: Line; entries: Set<Entry> };

/** From this share of taken places on, strangers get less time. */
const RELAXED = 0.25;

/**
 * Bounds what those cost us who have not shown who they are: connections under way to a handshake or a first request. Nobody is
 * turned away because others were first. Whoever comes finds room, at the cost of the one who waits longest of the source that has
 * most waiting; known sources are never closed for unknown ones; and the more wait, the less time there is. Pure but for its clock.
 */
export class Doorkeeper {
  readonly #options: DoorOptions;
  readonly #book: SourceBook;
  readonly #strangers = new Line();
  readonly #known = new Line();
  #cancelTimer: Cancel | null = null;

  constructor(options: DoorOptions) {
    this.#options = options;
    this.#book = new SourceBook(options.limits.pace);
  }

  /** Connections that wait now. */
  get waiting(): number {
    return this.#strangers.size + this.#known.size;
  }

  /** Lets a connection in, which `close` ends; null: it is not let in, and `onClosed` has heard of it. */
  enter(ip: IpAddress, close: (cause: DoorCause) => void): Waiting | null {
    const { limits, clock } = this.#options;
    const nowMs = clock.monotonicMs();
    const isKnown = this.#options.isKnown(ip) || this.#book.hasProved(ip);
    const key = isKnown ? ip : strangerKey(ip);
    if (!isKnown && !this.#book.begin(key, nowMs)) {
      this.#options.onClosed?.('too-fast');
      return null;
    }
    const line = isKnown ? this.#known : this.#strangers;
    const entry: Entry = { source: line.sourceOf(key), ip, sinceMs: nowMs, close };
    line.add(entry);
    if (!isKnown && entry.source.entries.size > limits.perStrangerMax) this.#close(oldestOf(entry.source), 'evicted');
    this.#makeRoom();
    this.#closeLate();
    return this.#waitingOf(entry);
  }

  #waitingOf(entry: Entry): Waiting {
    const end = (): boolean => entry.source.line.remove(entry);
    return {
      proved: () => {
        if (end()) this.#book.proved(entry.ip);
      },
      ended: () => {
        if (end()) this.#charge(entry);
      },
      done: () => void end(),
    };
  }

  #makeRoom(): void {
    const { waitingMax, strangersMax } = this.#options.limits;
    while (this.#strangers.size > strangersMax) this.#close(this.#strangers.victim(), 'evicted');
    while (this.waiting > waitingMax) {
      // Known ones take the places of strangers, up to half of all: one of them that floods is no friend of the others.
      const crowded = this.#known.size * 2 > waitingMax ? this.#known : this.#strangers;
      this.#close(crowded.victim(), 'evicted');
    }
  }

  /** In each line all have the same time, so those that are late are the first of it. */
  #closeLate(): void {
    const { clock } = this.#options;
    this.#cancelTimer?.();
    this.#cancelTimer = null;
    let nextMs = Number.POSITIVE_INFINITY;
    for (const line of [this.#strangers, this.#known]) {
      for (let first = line.first(); first !== null; first = line.first()) {
        // Asked anew each time: with every one that goes there is more time for the rest.
        const leftMs = first.sinceMs + this.#allowedMs(line) - clock.monotonicMs();
        if (leftMs > 0) {
          nextMs = Math.min(nextMs, leftMs);
          break;
        }
        this.#charge(first);
        this.#close(first, 'late');
      }
    }
    if (Number.isFinite(nextMs)) this.#cancelTimer = clock.after(nextMs, () => this.#closeLate());
  }

  #allowedMs(line: Line): number {
    const { deadlineMs, pressedDeadlineMs, strangersMax } = this.#options.limits;
    if (line === this.#known) return deadlineMs;
    const pressure = Math.min(1, Math.max(0, (line.size / strangersMax - RELAXED) / (1 - RELAXED)));
    return deadlineMs - pressure * (deadlineMs - pressedDeadlineMs);
  }

  /** It came to nothing: that costs its source more than a connection that made room. */
  #charge({ source }: Entry): void {
    if (source.line === this.#strangers) this.#book.failed(source.key, this.#options.clock.monotonicMs());
  }

  #close(entry: Entry | null, cause: DoorCause): void {
    if (entry === null || !entry.source.line.remove(entry)) return;
    this.#options.onClosed?.(cause);
    entry.close(cause);
  }
}

/** Those that wait, in order of their coming, and by how many each source has. */
class Line {
  readonly #order = new Set<Entry>();
  readonly #sources = new Map<string, Source>();
  /** Number of connections → the sources that have as many: the one with most is found without looking at all of them. */
  readonly #byCount = new Map<number, Set<Source>>();
  #most = 0;

  get size(): number {
    return this.#order.size;
  }

  sourceOf(key: string): Source {
    return this.#sources.get(key) ?? { key, line: this, entries: new Set() };
  }

  add(entry: Entry): void {
    const { source } = entry;
    this.#sources.set(source.key, source);
    this.#order.add(entry);
    this.#recount(source, () => source.entries.add(entry));
    this.#most = Math.max(this.#most, source.entries.size);
  }

  /** False: it was removed before. */
  remove(entry: Entry): boolean {
    const { source } = entry;
    if (!this.#order.delete(entry)) return false;
    this.#recount(source, () => source.entries.delete(entry));
    if (source.entries.size === 0) this.#sources.delete(source.key);
    while (this.#most > 0 && !this.#byCount.has(this.#most)) this.#most -= 1;
    return true;
  }

  first(): Entry | null {
    const [first = null] = this.#order;
    return first;
  }

  /** The one that has waited longest of a source that has most; null: nobody waits. */
  victim(): Entry | null {
    const [source] = this.#byCount.get(this.#most) ?? [];
    return source === undefined ? null : oldestOf(source);
  }

  #recount(source: Source, change: () => void): void {
    const before = this.#byCount.get(source.entries.size);
    before?.delete(source);
    if (before?.size === 0) this.#byCount.delete(source.entries.size);
    change();
    const count = source.entries.size;
    if (count === 0) return;
    const after = this.#byCount.get(count) ?? new Set();
    after.add(source);
    this.#byCount.set(count, after);
  }
}

function oldestOf({ entries }: Source): Entry | null {
  const [oldest = null] = entries;
  return oldest;
}
