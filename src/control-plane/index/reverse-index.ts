import { addTo, removeFrom } from '#control-plane/index/label-index.ts';

/** Who refers to what, asked from the other end. */
export class ReverseIndex {
  readonly #targets = new Map<string, readonly string[]>();
  readonly #owners = new Map<string, Set<string>>();

  /** Replaces everything that `owner` refers to. */
  set(owner: string, targets: readonly string[]): void {
    for (const target of this.#targets.get(owner) ?? []) removeFrom(this.#owners, target, owner);
    if (targets.length === 0) this.#targets.delete(owner);
    else this.#targets.set(owner, targets);
    for (const target of targets) addTo(this.#owners, target, owner);
  }

  /** Those that refer to `target`. */
  ownersOf(target: string): string[] {
    return [...(this.#owners.get(target) ?? [])];
  }

  /** What `owner` refers to. */
  targetsOf(owner: string): readonly string[] {
    return this.#targets.get(owner) ?? [];
  }
}
