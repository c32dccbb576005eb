import { CONTROL } from '#model/settings/control-planes.ts';
import type { ChangeLog, LogCursor } from '#protocol/xds/change-log.ts';
import type { EncodedResource } from '#protocol/xds/encoded-resource.ts';
import type { Buckets } from '#protocol/xds/held-names.ts';
import type { ServedBlock } from '#protocol/xds/resource-block.ts';
import { type Content, Gathered } from '#protocol/xds/response-content.ts';
import type { TypeUrl } from '#protocol/xds/type-urls.ts';

/** A request that is not answered yet, or not wholly. */
type Owed = {
  /** null: everything there is. */
  names: ReadonlySet<string> | null;
  /** Name → version that the client says it holds; where it told digests, in the buckets that differ. */
  claimed: ReadonlyMap<string, string>;
  /** Of a client that told digests: outside of these buckets it held everything when it did. */
  differing: Buckets | null;
  /** What it holds in those buckets is asked for and not told yet. */
  awaitsClaims: boolean;
  /** What is still to be looked through, from the first part of the answer on. */
  rest: Rest | null;
};

/** Names that the client may have to forget; blocks of everything from `block` on, or names of what was asked for. */
type Rest = { claimed: Iterator<string>; block: number; found: Iterator<string> };

/**
 * What one client follows of one type, and what it is still to be told, in responses of at most `CONTROL.responseBytesMax`
 * bytes. Content is read from the view when it is taken, so changes merge while a client is slow.
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
  readonly #view: ResourceView;
  readonly #log: ChangeLog;
  readonly #cursor: LogCursor;
  #owed: Owed | null;
  /** An answer and the changes that come meanwhile take turns. */
  #answersNext = true;

  constructor(view: ResourceView, typeUrl: TypeUrl, request: NameChanges & Claims) {
    this.typeUrl = typeUrl;
    this.#view = view;
    this.#node = request.node;
    this.#log = view.changes(typeUrl);
    this.#cursor = this.#log.follow();
    const unsubscribed = new Set(request.unsubscribe);
    const { claimed, differing = null } = request;
    this.#wildcard = request.subscribe.length === 0 || (request.subscribe.includes('*') && !unsubscribed.has('*'));
    if (!this.#wildcard) for (const name of [...request.subscribe, ...claimed.keys()]) this.#asked.add(name);
    for (const name of unsubscribed) this.#asked.delete(name);
    const names = this.#wildcard ? null : new Set(this.#asked);
    this.#owed = { names, claimed, differing, awaitsClaims: (differing?.buckets.size ?? 0) > 0, rest: null };
  }

  /** The buckets of which the client is to tell what it holds, before it can be answered. */
  get awaitedBuckets(): ReadonlySet<number> | null {
    return this.#owed?.awaitsClaims === true ? (this.#owed.differing?.buckets ?? null) : null;
  }

  /** Takes what the client holds in the buckets that are awaited. */
  claim(claimed: ReadonlyMap<string, string>): void {
    if (this.#owed !== null) this.#owed = { ...this.#owed, claimed, awaitsClaims: false };
  }

  get wildcard(): boolean {
    return this.#wildcard;
  }

  /** Changes the client has not been sent yet, at most; 1 for an unanswered request. */
  get pending(): number {
    return this.#log.pending(this.#cursor) + (this.#owed === null ? 0 : 1);
  }

  /** Whether a request waits for its answer, or for the rest of it. */
  get owesAnswer(): boolean {
    return this.#owed !== null;
  }

  /** Nothing is kept for the client any more. */
  close(): void {
    this.#log.unfollow(this.#cursor);
  }

  /** Takes a later request's names; true when the client is owed an answer. */
  change({ subscribe, unsubscribe }: NameChanges): boolean {
    if (subscribe.length === 0 && unsubscribe.length === 0) return false;
    const becomesWildcard = subscribe.includes('*') && !unsubscribe.includes('*');
    if (this.#wildcard || becomesWildcard) {
      this.#wildcard = becomesWildcard || !unsubscribe.includes('*');
      this.#asked.clear();
      this.#given.clear();
      const names = this.#wildcard ? null : new Set<string>();
      this.#owed = { names, claimed: NOTHING, differing: null, awaitsClaims: false, rest: null };
      return true;
    }
    for (const name of unsubscribe) {
      this.#asked.delete(name);
      this.#given.delete(name);
    }
    const added = subscribe.filter((name) => name !== '*');
    if (added.length === 0) return false;
    for (const name of added) this.#asked.add(name);
    const { names, claimed = NOTHING, rest = null } = this.#owed ?? {};
    // Lookups that arrive before the first is answered merge with it, and keep what the client claimed.
    this.#owed = { names: new Set([...(names ?? []), ...added]), claimed, differing: null, awaitsClaims: false, rest };
    if (rest !== null) rest.found = joined(rest.found, this.#lookUp(new Set(added)));
    return true;
  }

  /**
   * The next content to send, or null when there is none. The last part of an owed answer is given even when it is empty.
   * 'later': so much was looked through without finding any that others should have their turn first.
   */
  take(): Content | 'later' | null {
    const owed = this.#owed;
    if (owed === null) return this.#changes(false);
    if (owed.awaitsClaims) return null;
    // Everything there is includes what has changed until now; what was the same when digests were compared does not.
    if (owed.rest === null && owed.names === null && owed.differing === null) this.#log.skip(this.#cursor);
    const changes = this.#answersNext ? null : this.#changes(true);
    this.#answersNext = changes !== null;
    return changes ?? this.#answer(owed);
  }

  #answer(owed: Owed): Content | 'later' {
    owed.rest ??= { claimed: owed.claimed.keys(), block: 0, found: this.#namesToFind(owed) };
    const gathered = new Gathered();
    let looked = 0;
    for (const name of resuming(owed.rest.claimed)) {
      if (owed.names === null && this.#view.get(this.typeUrl, name) === null) gathered.remove(name);
      if (gathered.isFull) return gathered.content(true);
      if (++looked >= CONTROL.lookedThroughMax) return gathered.isEmpty ? 'later' : gathered.content(true);
    }
    const isEverything = owed.names === null && owed.differing === null;
    const isWhole = isEverything ? this.#nextBlocks(owed, owed.rest, gathered) : this.#nextFound(owed, owed.rest, gathered);
    if (isWhole) this.#owed = null;
    else if (gathered.isEmpty) return 'later';
    return gathered.content(!isWhole);
  }

  #namesToFind({ names, differing }: Owed): Iterator<string> {
    if (names !== null) return this.#lookUp(names);
    return differing === null ? NO_NAMES : this.#view.namesIn(this.typeUrl, differing);
  }

  /** True when there are no further ones. */
  #nextBlocks({ claimed }: Owed, rest: Rest, gathered: Gathered): boolean {
    const from = rest.block;
    for (let block = this.#view.block(this.typeUrl, from); block !== null; block = this.#view.block(this.typeUrl, rest.block)) {
      if (claimed.size === 0) {
        if (rest.block > from || !gathered.isEmpty) return false;
        gathered.whole(block);
      } else {
        if (gathered.isFull || (rest.block - from) * BLOCK_WEIGHT >= CONTROL.lookedThroughMax) return false;
        for (const resource of block.resources) if (!holds(claimed, resource)) gathered.add(resource);
      }
      rest.block++;
    }
    return true;
  }

  /** True when there are no further ones. */
  #nextFound({ claimed }: Owed, rest: Rest, gathered: Gathered): boolean {
    let looked = 0;
    for (const name of resuming(rest.found)) {
      const resource = this.#view.get(this.typeUrl, name);
      if (resource === null) gathered.remove(name);
      else if (!holds(claimed, resource)) gathered.add(resource);
      if (gathered.isFull || ++looked >= CONTROL.lookedThroughMax) return false;
    }
    return true;
  }

  /** The names of what was asked for and of what comes with it; a name that means nothing stands for itself. */
  #lookUp(names: ReadonlySet<string>): Iterator<string> {
    const found = new Set<string>();
    for (const name of names) {
      const hits = this.#view.lookup(this.typeUrl, name);
      if (hits.length === 0) found.add(name);
      for (const hit of hits) this.#give(hit.name, found);
    }
    if (this.#node !== '') for (const local of this.#view.onNode(this.#node)) this.#give(local.name, found);
    return found.values();
  }

  #give(name: string, found: Set<string>): void {
    this.#given.add(name);
    found.add(name);
  }

  /** What changed since the client was last told, what went first. */
  #changes(more: boolean): Content | null {
    const gathered = new Gathered();
    for (let name = this.#log.nextRemoved(this.#cursor); name !== null; name = this.#log.nextRemoved(this.#cursor)) {
      if (this.#wildcard || this.#given.delete(name) || this.#asked.has(name)) gathered.remove(name);
      if (gathered.isFull) return gathered.content(more);
    }
    for (let name = this.#log.nextUpdated(this.#cursor); name !== null; name = this.#log.nextUpdated(this.#cursor)) {
      const resource = this.#view.get(this.typeUrl, name);
      if (resource !== null && this.#follows(resource)) {
        if (!this.#wildcard) this.#given.add(name);
        gathered.add(resource);
      }
      if (gathered.isFull) break;
    }
    return gathered.isEmpty ? null : gathered.content(more);
  }

  #follows(resource: EncodedResource): boolean {
    const asked = (name: string) => this.#asked.has(name);
    return (
      this.#wildcard ||
      asked(resource.name) ||
      this.#given.has(resource.name) ||
      (resource.kind === 'workload' && this.#node !== '' && resource.node === this.#node) ||
      resource.aliases.some(asked) ||
      resource.services.some((service) => asked(service) || this.#given.has(service))
    );
  }
}

/** Goes on where an iterator stands: an early end of the loop leaves it there. */
function* resuming(names: Iterator<string>): Generator<string> {
  for (let next = names.next(); next.done !== true; next = names.next()) yield next.value;
}

function* joined(first: Iterator<string>, second: Iterator<string>): Generator<string> {
  yield* resuming(first);
  yield* resuming(second);
}

/**
 * The versions that a client says it holds, and the node whose workloads an on-demand client follows; '' for none. differing: where
 * its digests are not ours; what it holds there it tells when it is asked.
 */
export type Claims = { claimed: ReadonlyMap<string, string>; node: string; differing?: Buckets | null };

/** For the work of one turn a block counts as so many names. */
const BLOCK_WEIGHT = 400;

/** The names of one request. */
export type NameChanges = { subscribe: readonly string[]; unsubscribe: readonly string[] };

const NOTHING: ReadonlyMap<string, string> = new Map();
const NO_NAMES: Iterator<string> = new Set<string>().values();

/** Whether the client holds the resource in this version already; unversioned resources never count as held. */
function holds(claimed: ReadonlyMap<string, string>, resource: EncodedResource): boolean {
  return resource.version !== '' && claimed.get(resource.name) === resource.version;
}

/** What there is to serve right now; a session reads it each time it makes a response, so it never sends old state. */
export type ResourceView = {
  /** For debugging, in `system_version_info`. */
  systemVersion(): string;
  get(typeUrl: TypeUrl, name: string): EncodedResource | null;
  /** Everything of a type, in parts of the size of a response; null: there are no more. A part that was read may change: the log tells. */
  block(typeUrl: TypeUrl, index: number): ServedBlock | null;
  /** What changed, in order. */
  changes(typeUrl: TypeUrl): ChangeLog;
  /**
   * What an on-demand name means, first hit of: workload uid, workload by `<network>/<ip>`, service by
   * `<namespace>/<hostname>`, service by `<network>/<ip>`. A service brings its workloads. Empty when unknown.
   */
  lookup(typeUrl: TypeUrl, name: string): readonly EncodedResource[];
  /** Where digests of what a client holds (src/protocol/xds/held-names.ts) are not ours; null: they are none. */
  differing(typeUrl: TypeUrl, digests: Uint8Array): Buckets | null;
  /** Names of resources in these buckets. */
  namesIn(typeUrl: TypeUrl, buckets: Buckets): Iterator<string>;
  /** Workloads of a node. */
  onNode(node: string): readonly EncodedResource[];
};
