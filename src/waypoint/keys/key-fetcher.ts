import type { Clock, Random } from '#model/effects/clock.ts';
import type { Log } from '#model/effects/log.ts';
import { Retry } from '#model/resilience/retry.ts';
import { JWT } from '#model/settings/jwt.ts';
import type { Meters } from '#model/telemetry/meters.ts';
import type { WaypointConfig } from '#model/waypoint/config.ts';
import { type FetchedKeySet, type KeySource, keySourceId } from '#model/waypoint/jwt.ts';
import type { ToldKeys } from './fetched-keys.ts';

/** What fetching needs. */
export type KeyFetcherOptions = {
  /** Within the time of the source. Errors: any, when there are no keys to be had. */
  fetchKeys(source: KeySource): Promise<FetchedKeySet>;
  /** To all that serve. */
  tell(keys: ToldKeys): void;
  clock: Clock;
  random: Random;
  log: Log;
  meters: Meters;
};

/** One source that the configuration names. */
type Entry = {
  readonly source: KeySource;
  readonly retry: Retry;
  /** Null: never fetched, or too long ago. */
  jwks: string | null;
  fetchedMs: number;
  /** When the last fetch began, and whether it is still under way. */
  begunMs: number;
  isFetching: boolean;
};

/**
 * Fetches the keys that a configuration asks for, again and again, and tells those that serve. Keys that cannot be fetched anew count for
 * a while as they are; where none are known, there are none: nothing is ever taken in their place.
 */
export class KeyFetcher {
  readonly #options: KeyFetcherOptions;
  readonly #entries = new Map<string, Entry>();

  constructor(options: KeyFetcherOptions) {
    this.#options = options;
  }

  /** What is needed from now on. What was needed and is not any more is forgotten; without a configuration, everything. */
  configured(config: WaypointConfig | null): void {
    const needed = sourcesOf(config);
    for (const [id, { source, retry }] of this.#entries) {
      if (needed.has(id)) continue;
      retry.close();
      this.#entries.delete(id);
      this.#options.tell({ source, jwks: null });
    }
    for (const [id, source] of needed) if (!this.#entries.has(id)) this.#begin(id, source);
  }

  /** A token names a key that is not known. Anybody can send one, so that is no reason to ask its issuer often. */
  wanted(source: KeySource): void {
    const entry = this.#entries.get(keySourceId(source));
    if (entry === undefined) this.#options.tell({ source, jwks: null });
    else if (entry.isFetching)
      return; // its end is told to all
    else if (this.#options.clock.monotonicMs() - entry.begunMs < JWT.unknownKeyPauseMs) this.#tell(entry);
    else this.#fetchKeys(entry);
  }

  close(): void {
    for (const { retry } of this.#entries.values()) retry.close();
    this.#entries.clear();
  }

  #begin(id: string, source: KeySource): void {
    if (this.#entries.size >= JWT.sourcesMax) {
      const problem = `${JWT.sourcesMax} places that keys are fetched from are the most; those of ${shown(source)} are not`;
      this.#options.log.warn({ problem }, 'part of the configuration cannot be used');
      return;
    }
    const backoff = { firstMs: JWT.fetchRetryMs, maxMs: JWT.fetchRetryMaxMs };
    const entry: Entry = {
      ...{ source, jwks: null, fetchedMs: 0, begunMs: 0, isFetching: false },
      retry: new Retry(this.#options, backoff, () => this.#fetchKeys(entry)),
    };
    this.#entries.set(id, entry);
    this.#fetchKeys(entry);
  }

  #fetchKeys(entry: Entry): void {
    const { clock, fetchKeys } = this.#options;
    entry.retry.begun();
    entry.begunMs = clock.monotonicMs();
    entry.isFetching = true;
    // What is forgotten meanwhile is nobody's any more.
    const isNeeded = (): boolean => this.#entries.get(keySourceId(entry.source)) === entry;
    fetchKeys(entry.source).then(
      (fetched) => isNeeded() && this.#fetched(entry, fetched),
      (error: unknown) => isNeeded() && this.#failed(entry, error),
    );
  }

  #fetched(entry: Entry, { jwks, freshMs }: FetchedKeySet): void {
    const { log, meters, clock } = this.#options;
    meters.counter('weft_jwks_fetches_total', { outcome: 'fetched' }).add();
    if (jwks !== entry.jwks) log.info({ from: shown(entry.source) }, 'the keys of an issuer are new');
    entry.jwks = jwks;
    entry.fetchedMs = clock.monotonicMs();
    entry.retry.succeeded();
    entry.retry.after(Math.max(JWT.refreshMinMs, Math.min(JWT.refreshMs, freshMs ?? JWT.refreshMs)));
    this.#tell(entry);
  }

  #failed(entry: Entry, error: unknown): void {
    const { log, meters, clock } = this.#options;
    meters.counter('weft_jwks_fetches_total', { outcome: 'failed' }).add();
    if (clock.monotonicMs() - entry.fetchedMs > JWT.keysKeptMs) entry.jwks = null;
    const retry_in_ms = entry.retry.failed();
    const whose = entry.jwks === null ? 'no token of theirs is valid' : 'those that are known count';
    log.warn({ from: shown(entry.source), err: error, retry_in_ms }, `keys of an issuer cannot be fetched: ${whose}`);
    this.#tell(entry);
  }

  #tell(entry: Entry): void {
    entry.isFetching = false;
    this.#options.tell({ source: entry.source, jwks: entry.jwks });
  }
}

/** All that a configuration names, each once. */
function sourcesOf(config: WaypointConfig | null): Map<string, KeySource> {
  const rules = config?.services.flatMap(({ authentication = [] }) => authentication) ?? [];
  const sources = rules.flatMap(({ jwksFrom }) => (jwksFrom === undefined ? [] : [jwksFrom]));
  return new Map(sources.map((source) => [keySourceId(source), source]));
}

/** What may be shown of an address: a query can hold a secret. */
function shown({ url }: KeySource): string {
  return url.split(/[?#]/, 1)[0] ?? '';
}
