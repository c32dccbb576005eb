import type { KernelMaps } from '#model/kernel/maps.ts';
import type { Split } from '#model/path/tables.ts';

/** What the kernel draws of one route, and the places (address, port, protocol) that lead there. */
type Drawn = { written: Split[]; count: number; users: Set<string> };

/** The kernel's `splits`: for each route the sets of slots that it draws from, shared by all addresses of its service. */
export class SplitSlots {
  readonly #splits: KernelMaps['splits'];
  readonly #routes = new Map<number, Drawn>();
  readonly #excess = new Set<number>();

  constructor(splits: KernelMaps['splits']) {
    this.#splits = splits;
  }

  /** As `BackendSlots.write`: what is beyond stays until `trim`. Errors: of a map that is full. */
  write(id: number, user: string, wanted: readonly Split[]): void {
    const drawn = this.#routes.get(id) ?? { written: [], count: 0, users: new Set() };
    this.#routes.set(id, drawn);
    drawn.users.add(user);
    for (const [slot, split] of wanted.entries()) {
      const old = drawn.written[slot];
      if (old?.setId === split.setId && old.backendCount === split.backendCount) continue;
      this.#splits.set({ serviceId: id, slot }, split);
      drawn.written[slot] = split;
    }
    drawn.count = wanted.length;
    if (drawn.written.length > wanted.length) this.#excess.add(id);
  }

  /** A place leads there no more. */
  leave(id: number, user: string): void {
    const drawn = this.#routes.get(id);
    if (drawn?.users.delete(user) && drawn.users.size === 0) this.#excess.add(id);
  }

  /** Gives back what no count points at any more: after the counts of all places were written. */
  trim(): void {
    for (const id of this.#excess) {
      const drawn = this.#routes.get(id);
      if (drawn === undefined) continue;
      const kept = drawn.users.size === 0 ? 0 : drawn.count;
      for (let slot = drawn.written.length; slot > kept; slot--) this.#splits.delete({ serviceId: id, slot: slot - 1 });
      drawn.written.splice(kept);
      if (drawn.users.size === 0) this.#routes.delete(id);
    }
    this.#excess.clear();
  }
}
