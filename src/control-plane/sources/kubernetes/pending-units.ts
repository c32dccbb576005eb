import type { Reading } from '#control-plane/sources/ledger-unit.ts';

/** What became of units and is not in force yet. One that is in both was made anew: what it said before is gone first. */
export type Pending = { gone: ReadonlySet<string>; put: ReadonlyMap<string, Reading> };

/** Collects what becomes of units: however often one changes meanwhile, its last say counts. */
export class PendingUnits {
  #gone = new Set<string>();
  #put = new Map<string, Reading>();

  get isEmpty(): boolean {
    return this.#gone.size + this.#put.size === 0;
  }

  /** Whether something is to be put. */
  has(unit: string): boolean {
    return this.#put.has(unit);
  }

  gone(unit: string): void {
    this.#put.delete(unit);
    this.#gone.add(unit);
  }

  put(unit: string, reading: Reading): void {
    this.#put.set(unit, reading);
  }

  /** Nothing was told before: what is gone was never there. */
  beginWithNothing(): void {
    this.#gone.clear();
  }

  take(): Pending {
    const taken = { gone: this.#gone, put: this.#put };
    this.#gone = new Set();
    this.#put = new Map();
    return taken;
  }
}
