import { CONTROL } from '#model/settings/control-planes.ts';
import type { EncodedResource } from '#protocol/xds/encoded-resource.ts';
import type { TypeUrl } from '#protocol/xds/type-urls.ts';

/** Resources and removals of one response. */
export type Content = { resources: EncodedResource[]; removed: string[] };

/** A request that is not answered yet. */
type Owed = {
  /** null: everything there is. */
  names: ReadonlySet<string> | null;
  /** Name → version that the client says it holds. */
  claimed: ReadonlyMap<string, string>;
};

/**
 * What one client follows of one type, and what it is still to be told.
 * Content is read from the view when it is taken, so changes merge while a client is slow.
 */
export class Subscription {
  readonly typeUrl: TypeUrl;
  #wildcard: boolean;
  /** Names the client asked for; empty while it follows everything. */
  readonly #asked = new Set<string>();
  /** Names it was given besides: they are followed as well. Not kept for wildcards, where it would cost most. */
  readonly #given = new Set<string>();
  /** On-demand clients also follow the workloads of their own node. */
  readonly #node: string;
  readonly #changed = new Set<string>();
  #owed: Owed | null;

  constructor(typeUrl: TypeUrl, request: NameChanges, claimed: ReadonlyMap<string, string>, node: string) {
    this.typeUrl = typeUrl;
    this.#node = node;
    const unsubscribed = new Set(request.unsubscribe);
    this.#wildcard = request.subscribe.length === 0 || (request.subscribe.includes('*') && !unsubscribed.has('*'));
    if (!this.#wildcard) for (const name of [...request.subscribe, ...claimed.keys()]) this.#asked.add(name);
    for (const name of unsubscribed) this.#asked.delete(name);
    this.#owed = { names: this.#wildcard ? null : new Set(this.#asked), claimed };
  }

  get wildcard(): boolean {
    return this.#wildcard;
  }

  /** Changes the client has not been sent yet; 1 for an unanswered request. */
  get pending(): number {
    return this.#changed.size + (this.#owed === null ? 0 : 1);
  }

  /** Whether a request waits for its answer. */
  get owesAnswer(): boolean {
    return this.#owed !== null;
  }

  /** Takes a later request's names; true when the client is owed an answer. */
  change({ subscribe, unsubscribe }: NameChanges): boolean {
    if (subscribe.length === 0 && unsubscribe.length === 0) return false;
    const becomesWildcard = subscribe.includes('*') && !unsubscribe.includes('*');
    if (this.#wildcard || becomesWildcard) {
      this.#wildcard = becomesWildcard || !unsubscribe.includes('*');
      this.#asked.clear();
      this.#given.clear();
      this.#owed = { names: this.#wildcard ? null : new Set(), claimed: NOTHING };
      return true;
    }
    for (const name of unsubscribe) {
      this.#asked.delete(name);
      this.#given.delete(name);
    }
    const added = subscribe.filter((name) => name !== '*');
    if (added.length === 0) return false;
    for (const name of added) this.#asked.add(name);
    // Lookups that arrive before the first is answered merge with it, and keep what the client claimed.
    this.#owed = { names: new Set([...(this.#owed?.names ?? []), ...added]), claimed: this.#owed?.claimed ?? NOTHING };
    return true;
  }

  /** Notes that `names` changed or went away. */
  changed(names: Iterable<string>): void {
    for (const name of names) this.#changed.add(name);
  }

  /** The next content to send, or null when there is none. An owed answer is given even when it is empty. */
  take(view: ResourceView): Content | null {
    const owed = this.#owed;
    if (owed !== null) {
      this.#owed = null;
      if (owed.names === null) this.#changed.clear();
      return owed.names === null ? this.#everything(view, owed.claimed) : this.#looked(view, owed.names, owed.claimed);
    }
    while (this.#changed.size > 0) {
      const content = this.#pushed(view, this.#takeChanged());
      if (content.resources.length > 0 || content.removed.length > 0) return content;
    }
    return null;
  }

  #everything(view: ResourceView, claimed: ReadonlyMap<string, string>): Content {
    const resources: EncodedResource[] = [];
    for (const resource of view.all(this.typeUrl)) if (!holds(claimed, resource)) resources.push(resource);
    return { resources, removed: [...claimed.keys()].filter((name) => view.get(this.typeUrl, name) === null) };
  }

  #looked(view: ResourceView, names: ReadonlySet<string>, claimed: ReadonlyMap<string, string>): Content {
    const found = new Map<string, EncodedResource>();
    const removed: string[] = [];
    for (const name of names) {
      const hits = view.lookup(this.typeUrl, name);
      if (hits.length === 0) removed.push(name);
      for (const hit of hits) found.set(hit.name, hit);
    }
    if (this.#node !== '') for (const local of view.onNode(this.#node)) found.set(local.name, local);
    for (const name of found.keys()) this.#given.add(name);
    return { resources: [...found.values()].filter((resource) => !holds(claimed, resource)), removed };
  }

  #pushed(view: ResourceView, names: readonly string[]): Content {
    const content: Content = { resources: [], removed: [] };
    for (const name of names) {
      const resource = view.get(this.typeUrl, name);
      if (resource === null) {
        if (this.#wildcard || this.#given.delete(name) || this.#asked.has(name)) content.removed.push(name);
      } else if (this.#follows(resource)) {
        if (!this.#wildcard) this.#given.add(name);
        content.resources.push(resource);
      }
    }
    return content;
  }

  #follows(resource: EncodedResource): boolean {
    const asked = (name: string) => this.#asked.has(name);
    return (
      this.#wildcard ||
      asked(resource.name) ||
      this.#given.has(resource.name) ||
      (resource.kind === 'workload' && this.#node !== '' && resource.node === this.#node) ||
      resource.aliases.some(asked) ||
      resource.services.some(asked)
    );
  }

  #takeChanged(): string[] {
    const names: string[] = [];
    for (const name of this.#changed) {
      if (names.length === CONTROL.pushedNamesMax) break;
      names.push(name);
      this.#changed.delete(name);
    }
    return names;
  }
}

/** The names of one request. */
export type NameChanges = { subscribe: readonly string[]; unsubscribe: readonly string[] };

const NOTHING: ReadonlyMap<string, string> = new Map();

/** Whether the client holds the resource in this version already; unversioned resources never count as held. */
function holds(claimed: ReadonlyMap<string, string>, resource: EncodedResource): boolean {
  return resource.version !== '' && claimed.get(resource.name) === resource.version;
}

/** What there is to serve right now; a session reads it each time it makes a response, so it never sends old state. */
export type ResourceView = {
  /** For debugging, in `system_version_info`. */
  systemVersion(): string;
  get(typeUrl: TypeUrl, name: string): EncodedResource | null;
  all(typeUrl: TypeUrl): Iterable<EncodedResource>;
  /**
   * What an on-demand name means, first hit of: workload uid, workload by `<network>/<ip>`, service by
   * `<namespace>/<hostname>`, service by `<network>/<ip>`. A service brings its workloads. Empty when unknown.
   */
  lookup(typeUrl: TypeUrl, name: string): readonly EncodedResource[];
  /** Workloads of a node. */
  onNode(node: string): readonly EncodedResource[];
};
