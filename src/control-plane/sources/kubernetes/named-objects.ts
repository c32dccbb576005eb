import type { NamedKind, ObjectReference } from '#control-plane/resources/cluster-kind.ts';
import type { Clock } from '#model/effects/clock.ts';
import { KUBERNETES } from '#model/settings/kubernetes.ts';
import type { BuiltInWatch, ClusterListener, FollowBuiltIn, FollowedKind } from '#protocol/kubernetes/following.ts';

/** What following by name needs. `kind`: as objects of it are read, whichever they are. */
export type NamedObjectsOptions = {
  kind: FollowedKind;
  named: NamedKind;
  follow: FollowBuiltIn;
  listener: ClusterListener;
  clock: Clock;
};

/** Follows objects of one kind by their names, each for as long as something refers to it: an account needs the right to read those alone. */
export class NamedObjects {
  readonly #options: NamedObjectsOptions;
  /** By who refers. */
  readonly #references = new Map<string, ReadonlySet<string>>();
  /** By `<namespace>/<name>`. */
  readonly #watches = new Map<string, { readonly watch: BuiltInWatch; readonly known: Promise<void> }>();

  constructor(options: NamedObjectsOptions) {
    this.#options = options;
  }

  /** Of what. */
  get kind(): string {
    return this.#options.kind.kind;
  }

  /** To what `by` refers from now on. Returns the keys of those that nothing refers to any more: nothing is told of them again. */
  refer(by: string, references: readonly ObjectReference[]): string[] {
    const { kind } = this;
    const wanted = references.filter((one) => one.kind === kind && !this.#isFollowedAnyway(one.name));
    const before = this.#references.get(by) ?? new Set();
    const keys = new Set(wanted.map(({ namespace, name }) => `${namespace}/${name}`));
    if (keys.size === 0) this.#references.delete(by);
    else this.#references.set(by, keys);
    for (const one of wanted) this.#follow(one);
    const left = [...before].filter((key) => !this.#isReferredTo(key));
    for (const key of left) {
      this.#watches.get(key)?.watch.close();
      this.#watches.delete(key);
    }
    return left;
  }

  /** Resolves when all that can be read was told, or after a while. */
  async known(): Promise<void> {
    const late = Promise.withResolvers<void>();
    const cancel = this.#options.clock.after(KUBERNETES.namedKnownMs, () => late.resolve());
    await Promise.race([Promise.all([...this.#watches.values()].map(({ known }) => known)), late.promise]);
    cancel();
  }

  problems(): string[] {
    return [...this.#watches.values()].flatMap(({ watch }) => watch.problems());
  }

  close(): void {
    for (const { watch } of this.#watches.values()) watch.close();
    this.#watches.clear();
  }

  #isFollowedAnyway(name: string): boolean {
    return this.#options.kind.fieldSelector === `metadata.name=${name}`;
  }

  #isReferredTo(key: string): boolean {
    return [...this.#references.values()].some((keys) => keys.has(key));
  }

  #follow({ namespace, name }: ObjectReference): void {
    const key = `${namespace}/${name}`;
    // Past the bound it stays unknown: who refers to it is told so.
    if (this.#watches.has(key) || this.#watches.size >= KUBERNETES.namedMax) return;
    const { kind, named, follow, listener } = this.#options;
    const one: FollowedKind = { ...kind, namespace, fieldSelector: `metadata.name=${name}` };
    const { plural } = named;
    const served = { group: kind.group, version: kind.versions[0] ?? 'v1', kind: kind.kind, plural, namespaced: true };
    const refused = Promise.withResolvers<void>();
    const watch = follow(new Map([[one, served]]), {
      changed: (_kind, changes) => listener.changed(kind, changes),
      trouble: (problem) => {
        refused.resolve();
        listener.trouble(problem);
      },
    });
    this.#watches.set(key, { watch, known: Promise.race([watch.told, refused.promise]) });
  }
}
