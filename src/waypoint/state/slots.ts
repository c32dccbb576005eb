/** What features may keep values beside: a request, a service, an endpoint, a compiled configuration. */
export type Slotted = {
  /** By the number of the slot; null until the first value. Only slots read or write it. */
  slots: unknown[] | null;
};

/** How a feature's value comes and goes. */
export type SlotLife<H extends Slotted, V> = {
  /** The value of a holder that has none yet. */
  make(holder: H): V;
  /** The holder leaves for good: closes what the value holds open. */
  drop?(value: V): void;
  /** True keeps an idle holder, because its value is still in use. */
  inUse?(value: V): boolean;
};

/**
 * One feature's value beside each holder. It is an index into the holder's own array: no map to search for each request,
 * nothing to remove when the holder is garbage.
 */
export class Slot<H extends Slotted, V> {
  readonly #index: number;

  constructor(index: number) {
    this.#index = index;
  }

  /** Null while the holder has no value. */
  peek(holder: H): V | null {
    // Only `set` of this very slot writes this index, and it takes a V.
    return (holder.slots?.[this.#index] as V | undefined) ?? null;
  }

  /** It has no value any more. */
  forget(holder: H): void {
    if (holder.slots !== null) holder.slots[this.#index] = undefined;
  }

  set(holder: H, value: V): void {
    holder.slots ??= [];
    holder.slots[this.#index] = value;
  }
}

/** A slot whose values are made when they are first asked for. */
export class KeptSlot<H extends Slotted, V> extends Slot<H, V> {
  readonly #life: SlotLife<H, V>;

  constructor(index: number, life: SlotLife<H, V>) {
    super(index);
    this.#life = life;
  }

  of(holder: H): V {
    const known = this.peek(holder);
    if (known !== null) return known;
    const made = this.#life.make(holder);
    this.set(holder, made);
    return made;
  }

  /** Ends the holder's value, if it has one. */
  drop(holder: H): void {
    const value = this.peek(holder);
    if (value !== null) this.#life.drop?.(value);
  }

  isInUse(holder: H): boolean {
    const value = this.peek(holder);
    return value !== null && this.#life.inUse?.(value) === true;
  }
}

/** Hands out the slots of one sort of holder. Slots are registered while the waypoint is put together, not later. */
export class Slots<H extends Slotted> {
  #count = 0;
  readonly #kept: KeptSlot<H, unknown>[] = [];

  /** A slot that its feature fills itself. */
  add<V>(): Slot<H, V> {
    return new Slot(this.#count++);
  }

  /** A slot that fills itself; `undefined` and null are no values. */
  keep<V extends {}>(life: SlotLife<H, V>): KeptSlot<H, V> {
    const slot = new KeptSlot<H, V>(this.#count++, life);
    this.#kept.push(slot as KeptSlot<H, unknown>); // held only to drop and to make what it itself made
    return slot;
  }

  /** Makes every value that is still missing, so that its problems show now and not with the first request. */
  fill(holder: H): void {
    for (const slot of this.#kept) slot.of(holder);
  }

  /** The holder leaves: each of its values is dropped, and forgotten. */
  drop(holder: H): void {
    for (const slot of this.#kept) slot.drop(holder);
    holder.slots = null;
  }

  isInUse(holder: H): boolean {
    return this.#kept.some((slot) => slot.isInUse(holder));
  }
}
