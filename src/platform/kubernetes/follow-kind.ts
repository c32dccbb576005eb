import type { Cancel, Clock, Random } from '#model/effects/clock.ts';
import { WeftError } from '#model/error.ts';
import { Retry } from '#model/resilience/retry.ts';
import { KUBERNETES } from '#model/settings/kubernetes.ts';
import { isExpired } from '#protocol/kubernetes/api-status.ts';
import type { ClusterListener, FollowedKind, ObjectChange } from '#protocol/kubernetes/following.ts';
import { objectKey, pathOf, type ServedKind } from '#protocol/kubernetes/objects.ts';
import { readWatchEvent, type WatchEvent } from '#protocol/kubernetes/watch-event.ts';
import { ApiError, type Asking, unreachableError } from './connection.ts';
import { KnownObjects } from './known-objects.ts';
import { acceptOf, placeOf, readPages, selectorsOf } from './list-pages.ts';
import { linesOf } from './read-body.ts';
import type { Turns } from './turns.ts';

/** What following needs. `initials`: how many may read everything at once. */
export type FollowEffects = { connection: Asking; clock: Clock; random: Random; initials: Turns };

/** Everything was forgotten: the version to go on from is too old. */
class Expired extends Error {}

/**
 * Follows the objects of one kind for as long as it is not closed: first all of them, then what becomes of them, from where it
 * was after every break. What was told stays until it is known to be otherwise.
 */
export class FollowKind {
  /** Resolves when everything there is was told for the first time; also when it is closed before. */
  readonly told: Promise<void>;
  readonly served: ServedKind;
  /** Why it cannot be followed now; null: it is. */
  problem: WeftError | null = null;
  readonly #kind: FollowedKind;
  readonly #effects: FollowEffects;
  readonly #listener: ClusterListener;
  readonly #known: KnownObjects;
  readonly #retry: Retry;
  readonly #closing = new AbortController();
  readonly #firstTold: () => void;
  readonly #hearNoMore: () => void;
  /** From where to go on; null: everything has to be read. */
  #version: string | null = null;
  /** Whether the next attempt waits because there was no answer at all. */
  #isUnanswered = false;
  /** Whether the server tells everything by a watch, too. */
  #streams = true;

  /** `known`: what another follower of the kind has told. */
  constructor(
    kind: FollowedKind,
    served: ServedKind,
    effects: FollowEffects,
    listener: ClusterListener,
    known = new KnownObjects(kind),
  ) {
    this.served = served;
    this.#kind = kind;
    this.#effects = effects;
    this.#listener = listener;
    this.#known = known;
    ({ promise: this.told, resolve: this.#firstTold } = Promise.withResolvers<void>());
    const backoff = { firstMs: KUBERNETES.backoffFirstMs, maxMs: KUBERNETES.backoffMaxMs };
    this.#retry = new Retry(effects, backoff, () => this.#begin());
    this.#hearNoMore = effects.connection.reach.whenBack(() => this.#hurry());
    this.#begin();
  }

  /** Tells nothing more; returns what it has told, for whoever follows the kind from now on. */
  close(): KnownObjects {
    this.#closing.abort();
    this.#hearNoMore();
    this.#retry.close();
    this.#firstTold();
    return this.#known;
  }

  #begin(): void {
    this.#attempt().catch((error: unknown) => this.#failed(error, 0));
  }

  /** The API server is back: there is nothing to wait for, but for the others that come back. */
  #hurry(): void {
    if (this.#isUnanswered) this.#retry.after(Math.round(this.#effects.random() * KUBERNETES.shortWatchMs));
  }

  /** One connection, until it ends; then the next is planned. */
  async #attempt(): Promise<void> {
    const { clock, random } = this.#effects;
    this.#retry.begun();
    this.#isUnanswered = false;
    const beganMs = clock.monotonicMs();
    const lasted = (): number => clock.monotonicMs() - beganMs;
    try {
      const heard = this.#version === null ? await this.#readAll() : await this.#watch({ resourceVersion: this.#version });
      if (!heard && lasted() < KUBERNETES.shortWatchMs) throw this.#ended();
      if (lasted() > KUBERNETES.healthyMs) this.#retry.succeeded();
      // Servers end watches by themselves; those that were begun together do not come back together.
      this.#retry.after(Math.round(random() * KUBERNETES.shortWatchMs));
    } catch (error) {
      if (this.#closing.signal.aborted) return;
      this.#failed(error, lasted());
    }
  }

  #failed(error: unknown, lastedMs: number): void {
    if (lastedMs > KUBERNETES.healthyMs) this.#retry.succeeded();
    if (error instanceof Expired) {
      this.#version = null;
      this.#retry.failed();
      return;
    }
    const problem = error instanceof WeftError ? error : unreachableError(this.#effects.connection.access, String(error), error);
    const delayMs = this.#retry.failed();
    this.#isUnanswered = !(problem instanceof ApiError);
    if (problem instanceof ApiError) {
      if (isExpired(problem.status)) this.#version = null;
      const { retryAfterS } = problem.status;
      if (retryAfterS !== null && retryAfterS * 1_000 > delayMs) this.#retry.after(retryAfterS * 1_000);
    }
    const isNews = this.problem?.message !== problem.message;
    this.problem = problem;
    if (isNews) this.#listener.trouble(problem);
  }

  /** Everything, by a watch where the server can, else page by page. Returns whether anything came. */
  async #readAll(): Promise<boolean> {
    const { signal } = this.#closing;
    const leave = await this.#effects.initials.enter(signal);
    try {
      this.#known.beginAll();
      if (this.#streams) {
        // Else it is a watch like any other, and the answer never says that everything was told.
        const query = { sendInitialEvents: 'true', resourceVersionMatch: 'NotOlderThan' };
        try {
          return await this.#watch(query, leave);
        } catch (error) {
          if (!(error instanceof ApiError) || ![400, 422].includes(error.status.code)) throw error;
          this.#streams = false;
        }
      }
      await this.#readPages();
      return true;
    } finally {
      leave();
    }
  }

  async #readPages(): Promise<void> {
    const { signal } = this.#closing;
    let version = '';
    for await (const page of readPages(this.#effects.connection, this.served, this.#kind, signal)) {
      version = page.version;
      if (page.isFirst) this.#known.beginAll();
      await this.#tell(page.objects.flatMap((object) => this.#known.put(object, this.served)));
    }
    await this.#allTold(version);
  }

  async #allTold(version: string): Promise<void> {
    await this.#tell(this.#known.endAll());
    this.#version = version;
    this.problem = null;
    this.#firstTold();
  }

  /** What happens from a version on. Returns whether anything came. `complete` is called when everything there is was told. */
  async #watch(from: Readonly<Record<string, string>>, complete: () => void = () => {}): Promise<boolean> {
    const { connection, clock, random } = this.#effects;
    const seconds = Math.round(KUBERNETES.watchSeconds + random() * (KUBERNETES.watchSecondsMax - KUBERNETES.watchSeconds));
    const silence = new AbortController();
    let cancel: Cancel = () => {};
    const listen = (): void => {
      cancel();
      cancel = clock.after(KUBERNETES.silentMs, () => silence.abort());
    };
    let heard = false;
    try {
      listen();
      const pieces = await connection.stream({
        method: 'GET',
        path: pathOf(this.served, placeOf(this.#kind)),
        query: {
          watch: 'true',
          allowWatchBookmarks: 'true',
          timeoutSeconds: String(seconds),
          ...selectorsOf(this.#kind),
          ...from,
        },
        accept: acceptOf(this.#kind, 'PartialObjectMetadata'),
        signal: AbortSignal.any([this.#closing.signal, silence.signal]),
      });
      // Nothing may happen for long, and yet it is followed.
      if (this.#version !== null) this.problem = null;
      for await (const lines of linesOf(pieces, KUBERNETES.lineBytesMax)) {
        listen();
        heard = true;
        if (await this.#take(lines)) complete();
        listen(); // whoever is told may have taken long
      }
    } catch (error) {
      if (!silence.signal.aborted) throw error;
      // Of some kinds API servers say nothing for long, not even that. One that is away does not take the next watch: that is told.
      if (this.#version !== null) return heard;
      // A server that does not know how to say that everything was told.
      this.#streams = false;
      throw unreachableError(connection.access, `nothing came for ${KUBERNETES.silentMs} ms`, error);
    } finally {
      cancel();
    }
    return heard;
  }

  /** Returns whether everything there is has been told by now. */
  async #take(lines: readonly string[]): Promise<boolean> {
    const changes: ObjectChange[] = [];
    let version: string | null = null;
    for (const line of lines) {
      const event = readWatchEvent(line);
      if (event?.kind === 'error') {
        await this.#tell(changes);
        if (isExpired(event.status)) throw new Expired();
        throw new ApiError(`watch of ${this.served.plural}`, event.status);
      }
      if (event === null) continue;
      if (event.kind === 'bookmark' && event.initialEnd) {
        await this.#tell(changes.splice(0));
        await this.#allTold(event.version);
        version = null;
      } else {
        changes.push(...this.#changesOf(event));
        version = versionOf(event);
      }
    }
    await this.#tell(changes);
    // While not everything was told there is nothing to go on from.
    if (version !== null && this.#version !== null) this.#version = version;
    return this.#version !== null;
  }

  #changesOf(event: WatchEvent): ObjectChange[] {
    if (event.kind === 'put') return this.#known.put(event.object, this.served);
    return event.kind === 'gone' ? this.#known.gone(objectKey(event.object)) : [];
  }

  async #tell(changes: readonly ObjectChange[]): Promise<void> {
    if (changes.length > 0 && !this.#closing.signal.aborted) await this.#listener.changed(this.#kind, changes);
  }

  #ended(): WeftError {
    return unreachableError(this.#effects.connection.access, `a watch of ${this.served.plural} ended as soon as it had begun`);
  }
}

function versionOf(event: WatchEvent): string | null {
  if (event.kind === 'bookmark') return event.version;
  return event.kind === 'error' ? null : (event.object.metadata.resourceVersion ?? null);
}
