import type { LoadedObject } from './object.ts';

/**
 * Copies of the program that each namespace has one of. The next is loaded ahead, when nobody waits for it: a pod that starts waits for its
 * own, and to load one takes 5 ms.
 */
export class ArrivalCopies {
  readonly #load: () => LoadedObject;
  #spare: LoadedObject | null = null;
  #loading: NodeJS.Immediate | null = null;

  /** `load`: reads, checks and loads one more. Errors: WEFT_BPF_OPEN, WEFT_BPF_LOAD. */
  constructor(load: () => LoadedObject) {
    this.#load = load;
  }

  /** One that is nobody's, with the cookie of its namespace; the caller closes it. Errors: those of `load`. */
  take(netnsCookie: bigint): LoadedObject {
    const one = this.#spare ?? this.#load();
    this.#spare = null;
    this.#loading ??= setImmediate(() => this.#loadAhead());
    one.setData(cookieBytes(netnsCookie));
    return one;
  }

  close(): void {
    if (this.#loading !== null) clearImmediate(this.#loading);
    this.#loading = null;
    this.#spare?.close();
    this.#spare = null;
  }

  #loadAhead(): void {
    this.#loading = null;
    try {
      this.#spare ??= this.#load();
    } catch {
      // Whoever needs one loads it then, and hears why not.
    }
  }
}

/** `own_netns_cookie` of bpf/lib/arrival.h. */
function cookieBytes(netnsCookie: bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(netnsCookie);
  return bytes;
}
