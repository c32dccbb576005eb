import { goDurationMs } from '#control-plane/resources/go-duration.ts';
import { type Balancer, HASH_RING_SIZE, type HashKey, type Warmup } from '#model/waypoint/destination-settings.ts';
import type { RawConsistentHash, RawLoadBalancer } from './schema.ts';

// Fixed by the API (Istio's), the first by Envoy: what a field is that nobody wrote.
const MAGLEV_SIZE = 65_537;
const MIN_PERCENT = 10;

/** An empty block asks for what is done everywhere. The check has refused what cannot be read. */
export function readBalancer({ simple, consistentHash, warmup, warmupDurationSecs }: RawLoadBalancer): Balancer {
  const hash = consistentHash === undefined ? null : readHash(consistentHash);
  if (hash !== null) return hash;
  const written = warmup ?? (warmupDurationSecs === undefined ? undefined : { duration: warmupDurationSecs });
  const warming = written === undefined ? null : readWarmup(written);
  switch (simple) {
    case 'RANDOM':
      return { kind: 'random' };
    case 'ROUND_ROBIN':
      return { kind: 'round-robin', warmup: warming };
    default:
      return { kind: 'least-request', warmup: warming };
  }
}

/** The duration is there: the check has refused its absence. */
function readWarmup({ duration, minimumPercent, aggression }: NonNullable<RawLoadBalancer['warmup']>): Warmup {
  return {
    durationMs: goDurationMs(duration ?? '') ?? 0,
    minPercent: minimumPercent ?? MIN_PERCENT,
    aggression: aggression ?? 1,
  };
}

/** Null: it names no key, and the check has said so. */
function readHash(hash: RawConsistentHash): Balancer | null {
  const key = readKey(hash);
  if (key === null) return null;
  const { maglev, ringHash, minimumRingSize } = hash;
  if (maglev !== undefined) return { kind: 'hash', key, table: { kind: 'maglev', size: maglev.tableSize || MAGLEV_SIZE } };
  // The older field counts where the newer one is not written.
  const size = ringHash?.minimumRingSize || minimumRingSize || HASH_RING_SIZE;
  return { kind: 'hash', key, table: { kind: 'ring', size } };
}

/** Exactly one of them is written. */
function readKey({ httpHeaderName, httpCookie, useSourceIp, httpQueryParameterName }: RawConsistentHash): HashKey | null {
  if (httpHeaderName !== undefined) return { kind: 'header', name: httpHeaderName.toLowerCase() };
  if (httpQueryParameterName !== undefined) return { kind: 'query', name: httpQueryParameterName };
  if (httpCookie !== undefined) {
    const { name, path, ttl, attributes = [] } = httpCookie;
    const ttlMs = ttl === undefined ? null : goDurationMs(ttl);
    return {
      kind: 'cookie',
      name,
      path: path ?? null,
      // Max-Age knows whole seconds: a cookie that lasts longer is better than one that is gone at once.
      ttlS: ttlMs === null ? null : Math.ceil(ttlMs / 1_000),
      attributes: attributes.map(({ name: attribute, value }) =>
        value === undefined || value === '' ? attribute : `${attribute}=${value}`,
      ),
    };
  }
  return useSourceIp === true ? { kind: 'address' } : null;
}
