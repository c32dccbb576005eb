import { hash } from 'node:crypto';
import { atOnce, type Work } from '#model/effects/work.ts';

// Both sides of a stream compute the same: what is fixed here is a part of the protocol.

/** The finest division: names by the upper 13 bits of their hash. */
const FINE_BITS = 13;
const FINE = 1 << FINE_BITS;
/** Fixed by C53: what a bucket holds is told by so many bytes of a SHA-256. */
const DIGEST_BYTES = 8;
/** Names that a bucket should hold: fewer cost bytes when nothing has changed, more when something has. */
const NAMES_PER_BUCKET = 8;

/**
 * Names with versions in buckets, so that two who hold nearly the same find out where they differ by 8 bytes for some 8 names. A
 * change costs its own bucket. Source: docs/rules/control-plane.md (C53).
 */
export class HeldNames {
  readonly #versionOf: (name: string) => string;
  readonly #buckets: string[][] = [];
  readonly #digests = Buffer.alloc(FINE * DIGEST_BYTES);
  /** Buckets whose digest is to be made anew. */
  readonly #stale = new Set<number>();
  /** Of wider buckets, by how many they are; made again once one of the others is: all who come back together ask for the same. */
  readonly #coarse = new Map<number, Buffer>();
  #size = 0;

  /** versionOf: asked for names that are held. */
  constructor(versionOf: (name: string) => string) {
    this.#versionOf = versionOf;
  }

  /** `name` is held, in whatever version; to be told of each change of it. */
  hold(name: string): void {
    const fine = bucketOf(name);
    if (this.#buckets[fine]?.includes(name) === true) this.#stale.add(fine);
    else this.holdNew(name);
  }

  /** The same of one that was not held until now. */
  holdNew(name: string): void {
    const fine = bucketOf(name);
    const names = this.#buckets[fine] ?? [];
    this.#buckets[fine] = names;
    this.#stale.add(fine);
    names.push(name);
    this.#size += 1;
  }

  drop(name: string): void {
    const fine = bucketOf(name);
    const names = this.#buckets[fine] ?? [];
    const at = names.indexOf(name);
    if (at < 0) return;
    names.splice(at, 1);
    this.#size -= 1;
    this.#stale.add(fine);
  }

  /** Any of the versions may be another one. */
  doubt(): void {
    for (const fine of this.#buckets.keys()) this.#stale.add(fine);
  }

  /** Makes digests of what has changed, piece by piece. */
  *refreshing(): Work<void> {
    for (const fine of this.#stale) {
      this.#coarse.clear();
      this.#stale.delete(fine);
      const names = this.#buckets[fine] ?? [];
      const text = names
        .sort()
        .map((name) => `${name}\0${this.#versionOf(name)}\0`)
        .join('');
      if (text === '') this.#digests.fill(0, fine * DIGEST_BYTES, (fine + 1) * DIGEST_BYTES);
      else hash('sha256', text, 'buffer').copy(this.#digests, fine * DIGEST_BYTES, 0, DIGEST_BYTES);
      yield;
    }
  }

  /** A digest for each of as many buckets as are worth it, one behind the other; empty when nothing is held. */
  digests(): Uint8Array {
    if (this.#size === 0) return new Uint8Array();
    const bits = Math.ceil(Math.log2(Math.max(1, this.#size / NAMES_PER_BUCKET)));
    return Buffer.from(this.#digestsOf(1 << Math.min(FINE_BITS, bits)));
  }

  /** The buckets in which another one, whose digests these are, holds something else; null: these are no digests. */
  differing(theirs: Uint8Array): Buckets | null {
    const count = bucketsIn(theirs);
    if (!isCount(count)) return null;
    // Compared as integers: thousands of them for each client, all of which come back at once.
    const [ours, others] = [wordsOf(this.#digestsOf(count)), wordsOf(theirs)];
    const differing = new Set<number>();
    for (const [at, word] of ours.entries()) if (word !== others[at]) differing.add(Math.floor(at / WORDS));
    return { count, buckets: differing };
  }

  /** The names that are held in these buckets. */
  *namesIn({ count, buckets }: Buckets): Generator<string> {
    if (!isCount(count)) return;
    const width = FINE / count;
    for (const bucket of buckets)
      for (let fine = bucket * width; fine < (bucket + 1) * width; fine++) yield* [...(this.#buckets[fine] ?? [])];
  }

  #digestsOf(count: number): Buffer {
    atOnce(this.refreshing());
    if (count === FINE) return this.#digests;
    const known = this.#coarse.get(count);
    if (known !== undefined) return known;
    const coarse = Buffer.alloc(count * DIGEST_BYTES);
    const bytes = this.#digests.length / count;
    for (let bucket = 0; bucket < count; bucket++)
      hash('sha256', this.#digests.subarray(bucket * bytes, (bucket + 1) * bytes), 'buffer').copy(
        coarse,
        bucket * DIGEST_BYTES,
        0,
        DIGEST_BYTES,
      );
    this.#coarse.set(count, coarse);
    return coarse;
  }
}

/** Some of `count` buckets, by number. */
export type Buckets = { count: number; buckets: ReadonlySet<number> };

/** Of how many buckets these are the digests. */
export function bucketsIn(digests: Uint8Array): number {
  return digests.length / DIGEST_BYTES;
}

/** Words of 32 bits in a digest. */
const WORDS = DIGEST_BYTES / Int32Array.BYTES_PER_ELEMENT;

function wordsOf(digests: Uint8Array): Int32Array {
  const aligned = digests.byteOffset % Int32Array.BYTES_PER_ELEMENT === 0 ? digests : Uint8Array.from(digests);
  return new Int32Array(aligned.buffer, aligned.byteOffset, aligned.length / Int32Array.BYTES_PER_ELEMENT);
}

function isCount(count: number): boolean {
  return Number.isInteger(count) && count >= 1 && count <= FINE && Number.isInteger(Math.log2(count));
}

/** FNV-1a of the UTF-16 code units, and the last step of MurmurHash3 for its upper bits. */
function bucketOf(name: string): number {
  let value = 0x811c9dc5;
  for (let at = 0; at < name.length; at++) value = Math.imul(value ^ name.charCodeAt(at), 0x01000193);
  value = Math.imul(value ^ (value >>> 16), 0x85ebca6b);
  value = Math.imul(value ^ (value >>> 13), 0xc2b2ae35);
  return (value ^ (value >>> 16)) >>> (32 - FINE_BITS);
}
