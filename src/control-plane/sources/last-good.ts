import { digestOf, hashOf } from '#control-plane/resources/text-digest.ts';
import type { Log } from '#model/effects/log.ts';
import { isNotLeader } from '#model/effects/replica.ts';
import type { StateStore } from '#model/effects/state-store.ts';
import { Retry, type RetryEffects } from '#model/resilience/retry.ts';
import { CONTROL } from '#model/settings/control-planes.ts';

/** Where they lie, a file for each unit: a change then costs what its unit holds, however many others there are. */
const PREFIX = 'last-good/';

/** What one unit was last known to say, as it lies on disk. */
type Kept = { unit: string; documents: readonly object[] };

/**
 * The last good versions of resources that restrict something, over restarts. A restriction that becomes invalid while nobody
 * looks would else be lifted by the next start, which finds nothing but the invalid one.
 */
export class LastGoodVersions {
  readonly #store: StateStore;
  readonly #log: Log;
  /** Unit → hash of what is kept, or is about to be. */
  readonly #kept = new Map<string, string>();
  /** Not written yet: unit → text; null: to be removed. */
  readonly #waiting = new Map<string, string | null>();
  readonly #failed = new Map<string, string>();
  /** What could not be written, to be written again; as `#waiting`. */
  readonly #lost = new Map<string, string | null>();
  readonly #retry: Retry;
  #writing: Promise<void> | null = null;
  /** Something of this round could not be written, and not because another one leads. */
  #isAway = false;
  /** Whether it writes: of several replicas one does, and the others remember what is to be written if they come to. */
  #writes = true;

  constructor(store: StateStore, log: Log, effects: RetryEffects) {
    this.#store = store;
    this.#log = log;
    const backoff = { firstMs: CONTROL.keepAgainFirstMs, maxMs: CONTROL.keepAgainMaxMs };
    this.#retry = new Retry(effects, backoff, () => this.#begin());
  }

  /** Unit → what its resources were read from. What cannot be understood is told and left out. Errors: WEFT_STATE_DIR. */
  async load(): Promise<ReadonlyMap<string, readonly object[]>> {
    const found = new Map<string, readonly object[]>();
    for (const name of await this.#store.list(PREFIX)) {
      const text = await this.#store.read(name);
      const kept = text === null ? null : parseKept(text);
      if (text === null || kept === null || nameOfUnit(kept.unit) !== name) {
        this.#log.error({ file: name }, 'a last good version that was kept cannot be read');
        continue;
      }
      this.#kept.set(kept.unit, hashOf(text));
      found.set(kept.unit, kept.documents);
    }
    return found;
  }

  /** Keeps what a unit now provides; nothing of one that provides nothing. */
  keep(unit: string, documents: readonly object[]): void {
    const text = documents.length === 0 ? null : JSON.stringify({ unit, documents } satisfies Kept);
    const hash = text === null ? undefined : hashOf(text);
    if (this.#kept.get(unit) === hash && !this.#failed.has(unit)) return;
    if (hash === undefined) this.#kept.delete(unit);
    else this.#kept.set(unit, hash);
    // Only the last state of a unit is written, however many came while the disk was busy.
    this.#waiting.set(unit, text);
    this.#begin();
  }

  /** A word for all that is kept, or is about to be: what stands in for an invalid restriction is part of what is in force. */
  digest(): string {
    return digestOf([...this.#kept]);
  }

  /** From now on what is to be kept is written, with what has waited for it; or it waits. */
  lead(leads: boolean): void {
    this.#writes = leads;
    this.#begin();
  }

  /** Resolves when what was to be kept is kept, or could not be. */
  async settled(): Promise<void> {
    while (this.#writing !== null) await this.#writing;
  }

  /** What is not kept as it should be, a sentence each. */
  problems(): string[] {
    return [...this.#failed].map(([unit, why]) => `the last good version of ${unit} is not kept: ${why}`);
  }

  /** What could not be written goes with it, unless it is no longer the last state of its unit. */
  #begin(): void {
    if (!this.#writes) return;
    this.#retry.begun();
    for (const [unit, text] of this.#lost) if (!this.#waiting.has(unit)) this.#waiting.set(unit, text);
    this.#lost.clear();
    if (this.#waiting.size > 0) this.#writing ??= this.#write();
  }

  async #write(): Promise<void> {
    for (const [unit, text] of this.#waiting) {
      if (!this.#writes) break;
      this.#waiting.delete(unit);
      await this.#writeOne(unit, text);
    }
    this.#writing = null;
    if (this.#isAway) this.#retry.failed();
    else this.#retry.succeeded();
    this.#isAway = false;
    if (this.#writes && this.#waiting.size > 0) this.#writing = this.#write();
  }

  async #writeOne(unit: string, text: string | null): Promise<void> {
    try {
      if (text === null) await this.#store.remove(nameOfUnit(unit));
      else await this.#store.write(nameOfUnit(unit), text, { secret: true });
      this.#failed.delete(unit);
    } catch (error) {
      // The mesh goes on with what is in memory; the status page tells.
      this.#failed.set(unit, error instanceof Error ? error.message : String(error));
      this.#lost.set(unit, text);
      this.#isAway ||= !isNotLeader(error);
      this.#log.error({ err: error, file: unit }, 'a last good version is not kept');
    }
  }
}

/** Paths may hold anything, and be longer than a file's name. */
function nameOfUnit(unit: string): string {
  return `${PREFIX}${hashOf(unit)}.json`;
}

/** What is read was written by us, but a person may have edited it. */
function parseKept(text: string): Kept | null {
  try {
    const { unit, documents }: Partial<Record<keyof Kept, unknown>> = JSON.parse(text) ?? {};
    if (typeof unit !== 'string' || !Array.isArray(documents)) return null;
    return { unit, documents: documents.filter((one) => typeof one === 'object' && one !== null) };
  } catch {
    return null;
  }
}
