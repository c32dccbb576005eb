import type { Cancel, Clock, Random } from '#model/effects/clock.ts';
import type { Log } from '#model/effects/log.ts';
import { WeftError } from '#model/error.ts';
import { type Credentials, formatIdentity, type Identity } from '#model/identity/identity.ts';
import { type Backoff, backoffMs } from '#model/resilience/retry.ts';
import { CERTIFICATE } from '#model/settings/control-planes.ts';
import { credentialsFromReply } from '#protocol/ca/received-chain.ts';
import { isAhead, renewalDelayMs } from '#protocol/ca/renewal.ts';
import { createSigningRequest } from '#protocol/ca/signing-request.ts';

/** Asks the authority; resolves to [leaf, intermediates…, roots]. Must settle: a hanging call holds one of few places. */
export type FetchCertificate = (request: {
  csrPem: string;
  identity: Identity;
  ttlSeconds: number;
}) => Promise<readonly string[]>;

/** One held certificate, for status pages. notAfterMs null: none yet. */
export type CertificateStatus = { identity: string; notAfterMs: number | null; renewing: boolean; error: string | null };

/** Where certificates come from, and the effects of keeping them. ttlSeconds: lifetime asked for, 24 h by default. */
export type CertificateCacheOptions = {
  fetch: FetchCertificate;
  clock: Clock;
  random: Random;
  log: Log;
  ttlSeconds?: number;
};

type Waiter = { resolve(credentials: Credentials): void; reject(error: Error): void };

type Entry = {
  identity: Identity;
  name: string;
  credentials: Credentials | null;
  /** Whether its time had come when it was obtained: where the authority's clock is ahead of ours, none ever has. */
  hadCome: boolean;
  /** Why the last attempt failed; null after a success. */
  error: Error | null;
  failures: number;
  state: 'idle' | 'queued' | 'fetching';
  /** Connections that cannot go on without it. */
  waiters: Waiter[];
  cancelTimer: Cancel;
};

const NO_TIMER: Cancel = () => {};
const BACKOFF: Backoff = { firstMs: CERTIFICATE.retryFirstMs, maxMs: CERTIFICATE.retryMaxMs };

/**
 * One certificate per identity: fetched when first needed, renewed from its half-life on, kept until it expires.
 * Identities do not wait for one another's failures (B59). Keys never leave memory.
 */
export class CertificateCache {
  readonly #options: CertificateCacheOptions;
  readonly #entries = new Map<string, Entry>();
  readonly #queue: Entry[] = [];
  readonly #listeners = new Set<(credentials: Credentials) => void>();
  readonly #lapseListeners = new Set<(identity: Identity) => void>();
  #fetching = 0;

  constructor(options: CertificateCacheOptions) {
    this.#options = options;
  }

  /**
   * Valid credentials of `identity`, fetched if there are none.
   * Errors: WEFT_CERTIFICATE at once while the authority is failing, with its last answer as the cause (B58).
   */
  async get(identity: Identity): Promise<Credentials> {
    const entry = this.#entryOf(identity);
    if (this.#isValid(entry)) return entry.credentials;
    if (entry.state === 'idle' && entry.error !== null) throw unavailable(entry.name, entry.error);
    return new Promise((resolve, reject) => {
      entry.waiters.push({ resolve, reject });
      this.#enqueue(entry);
    });
  }

  /** What is valid now, without waiting; null: `get` says when there is one, or why there is none. */
  current(identity: Identity): Credentials | null {
    const entry = this.#entries.get(formatIdentity(identity));
    return entry !== undefined && this.#isValid(entry) ? entry.credentials : null;
  }

  /** Fetches ahead of need, after everything that is waited for. */
  warm(identity: Identity): void {
    const entry = this.#entryOf(identity);
    if (entry.credentials === null && entry.error === null) this.#enqueue(entry);
  }

  /** Calls `listener` with each certificate as it is obtained or renewed. */
  subscribe(listener: (credentials: Credentials) => void): Cancel {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Calls `listener` with each identity whose certificate expired before there was another, at the moment it did. */
  subscribeLapse(listener: (identity: Identity) => void): Cancel {
    this.#lapseListeners.add(listener);
    return () => this.#lapseListeners.delete(listener);
  }

  /** Forgets an identity, its key and its timers. Who waits for it is refused. */
  drop(identity: Identity): void {
    const name = formatIdentity(identity);
    const entry = this.#entries.get(name);
    if (entry === undefined) return;
    entry.cancelTimer();
    this.#entries.delete(name);
    const at = this.#queue.indexOf(entry);
    if (at >= 0) this.#queue.splice(at, 1);
    settle(entry, ({ reject }) => reject(unavailable(name, new Error('the identity is no longer in use'))));
  }

  /** Drops every identity. */
  close(): void {
    for (const { identity } of [...this.#entries.values()]) this.drop(identity);
  }

  snapshot(): CertificateStatus[] {
    return [...this.#entries.values()].map((entry) => ({
      identity: entry.name,
      notAfterMs: entry.credentials?.notAfterMs ?? null,
      renewing: entry.state !== 'idle',
      error: entry.error?.message ?? null,
    }));
  }

  #entryOf(identity: Identity): Entry {
    const name = formatIdentity(identity);
    const existing = this.#entries.get(name);
    if (existing !== undefined) return existing;
    const created: Entry = {
      identity,
      name,
      credentials: null,
      hadCome: false,
      error: null,
      failures: 0,
      state: 'idle',
      waiters: [],
      cancelTimer: NO_TIMER,
    };
    this.#entries.set(name, created);
    return created;
  }

  /** One that a clock which was set back has made worthless is valid only while there is no other to be had: it may be right elsewhere. */
  #isValid(entry: Entry): entry is Entry & { credentials: Credentials } {
    const { credentials, hadCome, error } = entry;
    const nowMs = this.#options.clock.nowMs();
    if (credentials === null || credentials.notAfterMs <= nowMs) return false;
    return error !== null || !(hadCome && isAhead(credentials, nowMs));
  }

  #enqueue(entry: Entry): void {
    if (entry.state !== 'idle') return;
    entry.cancelTimer();
    entry.state = 'queued';
    this.#queue.push(entry);
    this.#startFetches();
  }

  #startFetches(): void {
    while (this.#fetching < CERTIFICATE.fetchesMax && this.#queue.length > 0) {
      // Identities that a connection waits for go before renewals and warming.
      const awaited = this.#queue.findIndex(({ waiters }) => waiters.length > 0);
      const [entry] = this.#queue.splice(Math.max(awaited, 0), 1);
      if (entry !== undefined)
        this.#request(entry).catch((error: unknown) => this.#options.log.error({ err: error }, 'a certificate was not told'));
    }
  }

  async #request(entry: Entry): Promise<void> {
    this.#fetching += 1;
    entry.state = 'fetching';
    // Concluded once, whatever a listener throws: a place given back twice would let more fetches run than there are places.
    const conclude = await this.#obtain(entry.identity).then(
      (credentials) => () => this.#succeed(entry, credentials),
      (error: unknown) => () => this.#fail(entry, error instanceof Error ? error : new Error(String(error))),
    );
    this.#finish(entry, conclude);
  }

  async #obtain(identity: Identity): Promise<Credentials> {
    const { clock, ttlSeconds = CERTIFICATE.ttlSeconds } = this.#options;
    const { csrPem, privateKeyPem } = await createSigningRequest(identity);
    const chain = await this.#options.fetch({ csrPem, identity, ttlSeconds });
    return credentialsFromReply({ identity, privateKeyPem, chain, nowMs: clock.nowMs() });
  }

  #finish(entry: Entry, conclude: () => void): void {
    this.#fetching -= 1;
    entry.state = 'idle';
    // An identity dropped meanwhile has no one left to tell.
    try {
      if (this.#entries.get(entry.name) === entry) conclude();
    } finally {
      this.#startFetches();
    }
  }

  #succeed(entry: Entry, credentials: Credentials): void {
    const { clock, random, log } = this.#options;
    entry.credentials = credentials;
    entry.hadCome = !isAhead(credentials, clock.nowMs());
    entry.error = null;
    entry.failures = 0;
    entry.cancelTimer = clock.after(renewalDelayMs(credentials, clock.nowMs(), random), () => this.#enqueue(entry));
    log.debug({ identity: entry.name, not_after: new Date(credentials.notAfterMs).toISOString() }, 'certificate obtained');
    settle(entry, ({ resolve }) => resolve(credentials));
    for (const listener of this.#listeners) listener(credentials);
  }

  #fail(entry: Entry, error: Error): void {
    const { clock, random, log } = this.#options;
    entry.error = error;
    entry.failures += 1;
    const leftMs = (entry.credentials?.notAfterMs ?? 0) - clock.nowMs();
    const againMs = backoffMs(entry.failures, BACKOFF, random);
    // The last moment of the old certificate is worth one more attempt.
    const delayMs = leftMs > 0 ? Math.min(againMs, leftMs) : againMs;
    entry.cancelTimer = clock.after(delayMs, () => this.#enqueue(entry));
    log.warn({ identity: entry.name, retry_in_ms: delayMs, err: error }, 'certificate not obtained');
    settle(entry, ({ reject }) => reject(unavailable(entry.name, error)));
    // The last attempt was made at that very moment, see above.
    if (entry.credentials === null || leftMs > 0) return;
    entry.credentials = null;
    log.error({ identity: entry.name }, 'certificate expired');
    for (const listener of this.#lapseListeners) listener(entry.identity);
  }
}

function settle(entry: Entry, conclude: (waiter: Waiter) => void): void {
  for (const waiter of entry.waiters.splice(0)) conclude(waiter);
}

function unavailable(name: string, cause: Error): WeftError {
  return new WeftError('WEFT_CERTIFICATE', `there is no certificate for ${name}: ${cause.message}`, {
    cause,
    remedy: 'see that the control plane is reachable and that a workload of this identity runs on this node',
  });
}
