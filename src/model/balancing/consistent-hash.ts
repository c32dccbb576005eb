import { WAYPOINT } from '#model/settings/waypoints.ts';
import type { EndpointSet, LoadedEndpoint } from './least-request.ts';

const FNV_OFFSET = 0x811c9dc5;
const FNV_PRIME = 0x01000193;
/** Of the golden ratio: multiples of it lie far from one another. */
const GOLDEN = 0x9e3779b1;

/** 32 bits of a text, even over many texts, and the same in every process: that is what lets replicas choose alike. */
export function hashOf(text: string, seed = 0): number {
  let hash = FNV_OFFSET ^ Math.imul(seed, GOLDEN);
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), FNV_PRIME);
  return mixed(hash);
}

/** FNV alone lets texts that differ at their end lie side by side. */
function mixed(value: number): number {
  let hash = Math.imul(value ^ (value >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

/** From 0 to below 1: where a hash lies among all of them. Its own mixture, or who shares it would lie together in a table, too. */
export function fractionOf(hash: number): number {
  return mixed(hash ^ GOLDEN) / 2 ** 32;
}

/** The hash of a further choice for the same key. */
export function nextHash(hash: number): number {
  return mixed(hash + GOLDEN);
}

/** Which endpoint the key with a hash belongs to, as an index; -1: there is none. */
export type HashTable = { at(hash: number): number };

// Fixed by how a place is written: its hash, and which endpoint it is, in the 52 bits that a number holds exactly.
const ENDPOINTS_MAX = 2 ** 20;

/**
 * Endpoints at places of a ring, each at as many as its weight says; a key belongs to the next place after its hash. An endpoint that leaves moves
 * its own keys only (W48): places for each unit of weight are a power of two, so that those of the others mostly stay as they are.
 * `nameOf` tells endpoints apart, in every process alike.
 */
export function ringOf<E extends LoadedEndpoint>(
  set: EndpointSet<E>,
  minSize: number,
  nameOf: (endpoint: E) => string,
): HashTable {
  const { endpoints, weights, total } = set;
  const wanted = Math.min(minSize, WAYPOINT.hashPlacesMax);
  const perWeight = 2 ** Math.ceil(Math.log2(Math.max(wanted, endpoints.length) / total));
  const counts = weights.map((weight) => Math.max(1, Math.round(perWeight * weight)));
  const places = new Float64Array(counts.reduce((sum, count) => sum + count, 0));
  let filled = 0;
  for (const [at, endpoint] of endpoints.entries()) {
    const name = hashOf(nameOf(endpoint));
    for (let place = 0; place < (counts[at] ?? 0); place++)
      places[filled++] = mixed(name + Math.imul(place, GOLDEN)) * ENDPOINTS_MAX + at;
  }
  const sorted = places.sort();
  const hashes = Uint32Array.from(sorted, (place) => Math.floor(place / ENDPOINTS_MAX));
  const owners = Int32Array.from(sorted, (place) => place % ENDPOINTS_MAX);
  return {
    at(hash) {
      let low = 0;
      let high = hashes.length;
      while (low < high) {
        const middle = (low + high) >> 1;
        if ((hashes[middle] ?? 0) >= hash) high = middle;
        else low = middle + 1;
      }
      return owners[low === hashes.length ? 0 : low] ?? -1;
    },
  };
}

/**
 * A table of prime size whose places endpoints take in turn, each by an order of its own, as often as its weight says: keys are spread more evenly than over
 * a ring, and a few more of them move when an endpoint leaves (Maglev).
 */
export function maglevOf<E extends LoadedEndpoint>(
  { endpoints, weights }: EndpointSet<E>,
  size: number,
  nameOf: (endpoint: E) => string,
): HashTable {
  const owners = new Int32Array(size).fill(-1);
  const most = Math.max(...weights);
  const rows = endpoints.map((endpoint, at) => {
    const name = nameOf(endpoint);
    const weight = weights[at] ?? 0;
    return { at, weight, place: hashOf(name, 1) % size, skip: (hashOf(name, 2) % (size - 1)) + 1, due: 0 };
  });
  for (let taken = 0, round = 1; taken < size && rows.length > 0; round++) {
    for (const row of rows) {
      if (taken === size) break;
      // In a round the heaviest takes one place, the others one as often as they weigh in comparison.
      if (round * row.weight < row.due) continue;
      row.due += most;
      while ((owners[row.place] ?? -1) >= 0) row.place = (row.place + row.skip) % size;
      owners[row.place] = row.at;
      row.place = (row.place + row.skip) % size;
      taken++;
    }
  }
  return { at: (hash) => owners[hash % size] ?? -1 };
}

/** Whether a table of that size has an order for each endpoint that reaches all of its places. */
export function isPrime(size: number): boolean {
  if (size < 2) return false;
  for (let divisor = 2; divisor * divisor <= size; divisor++) if (size % divisor === 0) return false;
  return true;
}
