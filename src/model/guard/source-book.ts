import { familyOf, type IpAddress, ipToBytes } from '#model/address/ip.ts';

/** How fast one unknown source may begin. */
export type SourcePace = {
  /** Connections that it may begin at once. */
  burst: number;
  /** How fast that allowance comes back. */
  perSecond: number;
  /** What a connection that came to nothing costs beside its own place: a certificate was checked in vain, say. */
  failureCost: number;
  /** Sources remembered; the ones that were quiet longest are forgotten. */
  sourcesMax: number;
};

type Account = { allowance: number; atMs: number };

/** Fixed by IPv6: a subnet is a /64 (RFC 4291 2.5.1). */
const V6_PREFIX_BYTES = 8;

/** What counts as one unknown source: an IPv4 address, or the /64 of an IPv6 one, all of which one host can have. */
export function strangerKey(ip: IpAddress): string {
  return familyOf(ip) === 4 ? ip : `${ipToBytes(ip).subarray(0, V6_PREFIX_BYTES).toString('hex')}::/64`;
}

/** What is remembered of sources when none of their connections is open: how fast they began, and who proved who he is. */
export class SourceBook {
  readonly #pace: SourcePace;
  /** Oldest use first. */
  readonly #accounts = new Map<string, Account>();
  readonly #proved = new Set<IpAddress>();

  constructor(pace: SourcePace) {
    this.#pace = pace;
  }

  /** Whether somebody at this address has shown a certificate or token before. */
  hasProved(ip: IpAddress): boolean {
    return this.#proved.has(ip);
  }

  proved(ip: IpAddress): void {
    this.#proved.delete(ip);
    this.#proved.add(ip);
    forgetOldest(this.#proved, this.#pace.sourcesMax);
  }

  /** Takes one beginning from the allowance of a source; false: it has none left. */
  begin(key: string, nowMs: number): boolean {
    const account = this.#accountOf(key, nowMs);
    if (account.allowance < 1) return false;
    account.allowance -= 1;
    return true;
  }

  /** Makes a source pay for a connection that failed. */
  failed(key: string, nowMs: number): void {
    const account = this.#accountOf(key, nowMs);
    account.allowance = Math.max(0, account.allowance - this.#pace.failureCost);
  }

  #accountOf(key: string, nowMs: number): Account {
    const { burst, perSecond, sourcesMax } = this.#pace;
    const account = this.#accounts.get(key) ?? { allowance: burst, atMs: nowMs };
    // Wall clocks step back: that must not take an allowance away.
    const passedMs = Math.max(0, nowMs - account.atMs);
    account.allowance = Math.min(burst, account.allowance + (passedMs * perSecond) / 1_000);
    account.atMs = nowMs;
    this.#accounts.delete(key);
    this.#accounts.set(key, account);
    forgetOldest(this.#accounts, sourcesMax);
    return account;
  }
}

function forgetOldest(kept: Map<string, unknown> | Set<string>, max: number): void {
  for (const key of kept.keys()) {
    if (kept.size <= max) return;
    kept.delete(key);
  }
}
