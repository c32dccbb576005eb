/** How fast a bucket fills: `requests` in `windowMs`, up to `burst`. */
export type BucketRate = { readonly requests: number; readonly windowMs: number; readonly burst: number };

/** What of a bucket is remembered. A change of the rate leaves what is in it. */
export type Bucket = { tokens: number; atMs: number };

/** What came of one request. */
export type BucketVerdict = {
  readonly admitted: boolean;
  /** Whole tokens that are left. */
  readonly remaining: number;
  /** Milliseconds until there is a token, for a request that was not admitted; else until the bucket is full. */
  readonly waitMs: number;
};

/** Takes a token if there is one; the bucket fills all the time and not at the ends of windows. */
export function takeToken(bucket: Bucket, { requests, windowMs, burst }: BucketRate, nowMs: number): BucketVerdict {
  const perMs = requests / windowMs;
  bucket.tokens = Math.min(burst, bucket.tokens + Math.max(0, nowMs - bucket.atMs) * perMs);
  bucket.atMs = nowMs;
  // What is a hair below a token is one: sums of fractions are never exact.
  const admitted = bucket.tokens >= 1 - 1e-9;
  if (admitted) bucket.tokens = Math.max(0, bucket.tokens - 1);
  const missing = admitted ? burst - bucket.tokens : 1 - bucket.tokens;
  return { admitted, remaining: Math.floor(bucket.tokens + 1e-9), waitMs: Math.ceil(missing / perMs) };
}

/** The share of one of `replicas`; its bucket holds at least one token. */
export function shareOf({ requests, windowMs, burst }: BucketRate, replicas: number): BucketRate {
  return { requests: requests / replicas, windowMs, burst: Math.max(1, Math.ceil(burst / replicas)) };
}

/** Buckets by key, the least used forgotten first: a client that makes up keys cannot make the table grow. */
export class BucketTable {
  readonly #max: number;
  readonly #buckets = new Map<string, Bucket>();

  constructor(max: number) {
    this.#max = max;
  }

  get size(): number {
    return this.#buckets.size;
  }

  /** A bucket that is new is full. */
  of(key: string, burst: number, nowMs: number): Bucket {
    const known = this.#buckets.get(key);
    if (known !== undefined) {
      // A Map keeps its order: what is used goes to its end.
      this.#buckets.delete(key);
      this.#buckets.set(key, known);
      return known;
    }
    if (this.#buckets.size >= this.#max) {
      const [oldest] = this.#buckets.keys();
      if (oldest !== undefined) this.#buckets.delete(oldest);
    }
    const bucket = { tokens: burst, atMs: nowMs };
    this.#buckets.set(key, bucket);
    return bucket;
  }
}
