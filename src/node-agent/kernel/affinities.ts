import type { KernelMaps } from '#model/kernel/maps.ts';

/** How long clients keep their backend, and the places (address, port, protocol) with that number. */
type Kept = { timeoutS: number; users: Set<string> };

/** The kernel's `affinities`: services of whose clients each keeps its backend. All addresses of a service have one number. */
export class Affinities {
  readonly #affinities: KernelMaps['affinities'];
  readonly #kept = new Map<number, Kept>();

  constructor(affinities: KernelMaps['affinities']) {
    this.#affinities = affinities;
  }

  /** `timeoutS` 0: clients of that place keep nothing. Errors: of a map that is full. */
  write(id: number, user: string, timeoutS: number): void {
    if (timeoutS === 0) {
      this.leave(id, user);
      return;
    }
    const kept = this.#kept.get(id) ?? { timeoutS: 0, users: new Set() };
    if (kept.timeoutS !== timeoutS) this.#affinities.set(id, timeoutS);
    kept.timeoutS = timeoutS;
    kept.users.add(user);
    this.#kept.set(id, kept);
  }

  /** A place has that number no more. */
  leave(id: number, user: string): void {
    const kept = this.#kept.get(id);
    if (!kept?.users.delete(user) || kept.users.size > 0) return;
    this.#affinities.delete(id);
    this.#kept.delete(id);
  }

  /** What a former agent wrote and none of ours needs goes. */
  purge(): void {
    for (const [id] of this.#affinities.entries()) if (!this.#kept.has(id)) this.#affinities.delete(id);
  }
}
