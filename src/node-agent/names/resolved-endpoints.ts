import type { IpAddress } from '#model/address/ip.ts';
import { specialUseOf } from '#model/address/ip.ts';
import type { Clock, Random } from '#model/effects/clock.ts';
import type { Log } from '#model/effects/log.ts';
import { guardWork, type Mishaps } from '#model/effects/mishaps.ts';
import { messageOf } from '#model/error.ts';
import type { MeshDelta } from '#model/mesh/mesh-state.ts';
import type { Workload } from '#model/mesh/workload.ts';
import { Retry } from '#model/resilience/retry.ts';
import { DNS } from '#model/settings/dns.ts';

/** What nameservers say of a name, and for how long. */
export type ResolvedName = { readonly addresses: readonly IpAddress[]; readonly ttlMs: number };

/** What this needs of the outside. */
export type ResolvedEndpointsOptions = {
  /** Errors: those of the nameservers. No such name is no error: it has no address. */
  resolveName(name: string): Promise<ResolvedName>;
  clock: Clock;
  random: Random;
  log: Log;
  mishaps: Mishaps;
  /** Hears of records whose addresses are others now. */
  changed(delta: MeshDelta): void;
};

/** One name that endpoints have instead of an address. */
type Named = {
  readonly records: Map<string, Workload>;
  readonly retry: Retry;
  addresses: readonly IpAddress[];
  isFailing: boolean;
};

const BACKOFF = { firstMs: DNS.endpointRestMs, maxMs: DNS.endpointMsMax };

/**
 * Endpoints that are told by name get addresses here, and others when these change. What was resolved last holds while
 * nameservers are silent; a name that is said not to exist has none.
 */
export class ResolvedEndpoints {
  readonly #options: ResolvedEndpointsOptions;
  readonly #names = new Map<string, Named>();
  readonly #nameOf = new Map<string, string>();
  readonly #waiting: string[] = [];
  #asking = 0;

  constructor(options: ResolvedEndpointsOptions) {
    this.#options = options;
  }

  /** The change, with addresses in the records that have names. The same one where there are none. */
  translate(delta: MeshDelta): MeshDelta {
    const workloads = new Map(delta.workloads);
    let isOther = false;
    for (const [uid, record] of delta.workloads) {
      const name = record !== null && record.addresses.length === 0 ? record.hostname : '';
      const before = this.#nameOf.get(uid);
      // Records with addresses that come from here are passed on as they are.
      if (before !== undefined && before !== name && !(record !== null && record.hostname === before)) this.#forget(uid, before);
      if (record === null || name === '') continue;
      const named = this.#remember(name, record);
      workloads.set(uid, { ...record, addresses: named.addresses });
      isOther = true;
    }
    return isOther ? { ...delta, workloads } : delta;
  }

  /** Asks no more. */
  stop(): void {
    for (const { retry } of this.#names.values()) retry.close();
    this.#names.clear();
    this.#nameOf.clear();
    this.#waiting.length = 0;
  }

  #remember(name: string, record: Workload): Named {
    const known = this.#names.get(name);
    const named = known ?? this.#begin(name);
    named.records.set(record.uid, record);
    this.#nameOf.set(record.uid, name);
    return named;
  }

  #begin(name: string): Named {
    const retry = new Retry(this.#options, BACKOFF, () => this.#ask(name));
    const named: Named = { records: new Map(), retry, addresses: [], isFailing: false };
    this.#names.set(name, named);
    this.#ask(name);
    return named;
  }

  #forget(uid: string, name: string): void {
    this.#nameOf.delete(uid);
    const named = this.#names.get(name);
    named?.records.delete(uid);
    if (named === undefined || named.records.size > 0) return;
    named.retry.close();
    this.#names.delete(name);
  }

  /** A few at once: after a restart there may be thousands. */
  #ask(name: string): void {
    if (this.#asking >= DNS.endpointsAtOnceMax) {
      this.#waiting.push(name);
      return;
    }
    this.#asking++;
    const answered = (): void => {
      this.#asking--;
      const next = this.#waiting.shift();
      if (next !== undefined) this.#ask(next);
    };
    guardWork(this.#options.mishaps, 'upstream', this.#resolve(name).then(answered), answered);
  }

  async #resolve(name: string): Promise<void> {
    const { log, resolveName } = this.#options;
    const named = this.#names.get(name);
    if (named === undefined) return;
    let found: ResolvedName | null = null;
    try {
      found = await resolveName(name);
    } catch (error) {
      // Once for each time that it begins to fail.
      if (!named.isFailing)
        log.warn({ name, error: messageOf(error) }, 'an endpoint cannot be resolved; its last addresses hold');
    }
    if (this.#names.get(name) !== named) return;
    named.isFailing = found === null;
    if (found === null) return void named.retry.failed();
    named.retry.succeeded();
    named.retry.after(Math.min(Math.max(found.ttlMs, DNS.endpointRestMs), DNS.endpointMsMax));
    this.#take(named, found.addresses);
  }

  #take(named: Named, found: readonly IpAddress[]): void {
    const addresses = [...new Set(found)]
      .filter((ip) => specialUseOf(ip) === null)
      .sort()
      .slice(0, DNS.endpointAddressesMax);
    if (addresses.join() === named.addresses.join()) return;
    named.addresses = addresses;
    const workloads = new Map([...named.records].map(([uid, record]) => [uid, { ...record, addresses }]));
    this.#options.changed({ workloads, services: new Map(), policies: new Map() });
  }
}
