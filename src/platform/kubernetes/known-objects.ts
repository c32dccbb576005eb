import type { FollowedKind, ObjectChange } from '#protocol/kubernetes/following.ts';
import { apiVersionOf, type KubeObject, objectKey, type ServedKind } from '#protocol/kubernetes/objects.ts';

/** Which objects of a kind were told, and in which version: whatever comes is turned into what became of them. */
export class KnownObjects {
  readonly #kind: FollowedKind;
  readonly #known = new Map<string, { uid: string; version: string }>();
  /** Keys that were seen since a new reading of all began; null: none is under way. */
  #seen: Set<string> | null = null;

  constructor(kind: FollowedKind) {
    this.#kind = kind;
  }

  get size(): number {
    return this.#known.size;
  }

  /** A reading of everything begins. */
  beginAll(): void {
    this.#seen = new Set();
  }

  /** It is complete: what was not in it is gone. */
  endAll(): ObjectChange[] {
    const seen = this.#seen ?? new Set();
    this.#seen = null;
    return this.#forget([...this.#known.keys()].filter((key) => !seen.has(key)));
  }

  /** An object is there, or is otherwise than before. */
  put(object: KubeObject, served: ServedKind): ObjectChange[] {
    const key = objectKey(object);
    const { uid = '', resourceVersion: version = '' } = object.metadata;
    this.#seen?.add(key);
    const before = this.#known.get(key);
    if (before !== undefined && before.uid === uid && before.version === version && version !== '') return [];
    // Lists leave out what all of their items have in common.
    const kept = this.#kind.keep({ ...object, apiVersion: apiVersionOf(served), kind: served.kind });
    if (kept === null) return this.gone(key);
    this.#known.set(key, { uid, version });
    const another = before !== undefined && before.uid !== uid;
    return [...(another ? [{ key, object: null }] : []), { key, object: kept }];
  }

  gone(key: string): ObjectChange[] {
    return this.#forget([key]);
  }

  /** Nothing is there any more. */
  goneAll(): ObjectChange[] {
    return this.#forget([...this.#known.keys()]);
  }

  /** Whatever comes next is told, even in the version that is known. */
  doubt(): void {
    for (const [key, { uid }] of this.#known) this.#known.set(key, { uid, version: '' });
  }

  #forget(keys: readonly string[]): ObjectChange[] {
    return keys.filter((key) => this.#known.delete(key)).map((key) => ({ key, object: null }));
  }
}
