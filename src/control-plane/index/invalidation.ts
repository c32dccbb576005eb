import { ReverseIndex } from '#control-plane/index/reverse-index.ts';

/** Steps of the index, in the order in which they run: each may only read what those before it derived. */
export const STAGES = [
  'gateway',
  'service',
  'workload',
  'authorization',
  'peer',
  'route',
  'waypoint',
  'managed-gateway',
] as const;
/** One of these steps. */
export type Stage = (typeof STAGES)[number];

/** Something that derivations read, beside the input they are made from. */
export type Token =
  | `service ${string}`
  | `service-names ${string}`
  | `service-binding ${string}`
  | `gateway ${string}`
  | `gateway-names ${string}`;

/** Remembers what must be derived again, and who read what. */
export class Invalidation {
  readonly #stale = new Map<Stage, Set<string>>(STAGES.map((stage) => [stage, new Set()]));
  readonly #readers = new ReverseIndex();

  mark(stage: Stage, key: string): void {
    this.#stale.get(stage)?.add(key);
  }

  markAll(stage: Stage, keys: Iterable<string>): void {
    for (const key of keys) this.mark(stage, key);
  }

  /** Everything that read `token` must be derived again. */
  publish(token: Token): void {
    for (const unit of this.#readers.ownersOf(token)) {
      const [stage = '', ...key] = unit.split('|');
      const known = STAGES.find((one) => one === stage);
      if (known !== undefined) this.mark(known, key.join('|'));
    }
  }

  /** Replaces what the derivation of `key` read. */
  setReads(stage: Stage, key: string, tokens: Iterable<Token>): void {
    this.#readers.set(`${stage}|${key}`, [...new Set(tokens)]);
  }

  /** What must be derived in this stage, in order of key, so that the outcome does not depend on the order of changes. */
  take(stage: Stage): string[] {
    const stale = this.#stale.get(stage) ?? new Set();
    const keys = [...stale].sort();
    stale.clear();
    return keys;
  }
}
