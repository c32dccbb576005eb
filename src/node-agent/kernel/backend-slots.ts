import { arrangeSlots, type Slot, sameSlot } from '#model/balancing/slots.ts';
import type { KernelMaps } from '#model/kernel/maps.ts';

/** Slots of one number in the kernel, and the places (address, port, protocol) that lead to them. */
type SlotSet = { slots: Slot[]; wanted: readonly Slot[]; users: Set<string> };

/**
 * The kernel's `backends`: a set of slots for each number, shared by all addresses of a service, and written by difference: one
 * endpoint more or less is a write or two, however many there are.
 */
export class BackendSlots {
  readonly #backends: KernelMaps['backends'];
  readonly #sets = new Map<number, SlotSet>();
  /** Those with slots above what is wanted, or that nobody uses any more. */
  readonly #excess = new Set<number>();

  constructor(backends: KernelMaps['backends']) {
    this.#backends = backends;
  }

  /**
   * Makes slots [0, wanted.length) those wanted. Slots beyond stay until `trim`: connect() draws a slot below the count that it
   * reads at any moment, and one that is not there would send a connection the long way (E42). Errors: of a map that is full.
   */
  write(id: number, user: string, wanted: readonly Slot[]): void {
    const set = this.#sets.get(id) ?? { slots: [], wanted: [], users: new Set() };
    this.#sets.set(id, set);
    set.users.add(user);
    if (set.wanted === wanted && set.slots.length >= wanted.length) return;
    const arranged = arrangeSlots(set.slots, wanted);
    for (const [index, slot] of arranged.entries()) {
      if (sameSlot(set.slots[index], slot)) continue;
      this.#backends.set({ serviceId: id, slot: index }, slot);
      set.slots[index] = slot;
    }
    // Only now: what could not be written is tried again.
    set.wanted = wanted;
    if (set.slots.length > wanted.length) this.#excess.add(id);
  }

  /** A place leads there no more. */
  leave(id: number, user: string): void {
    const set = this.#sets.get(id);
    if (set?.users.delete(user) && set.users.size === 0) this.#excess.add(id);
  }

  /** Gives back what no count points at any more: after the counts of all places were written. */
  trim(): void {
    for (const id of this.#excess) {
      const set = this.#sets.get(id);
      const kept = set === undefined || set.users.size === 0 ? 0 : set.wanted.length;
      for (let slot = set?.slots.length ?? 0; slot > kept; slot--) this.#backends.delete({ serviceId: id, slot: slot - 1 });
      set?.slots.splice(kept);
      if (kept === 0 && set?.users.size === 0) this.#sets.delete(id);
    }
    this.#excess.clear();
  }
}
