import { parseMeasure } from '../report/report.ts';
import { loadOver, type Way } from '../rig/way.ts';
import type { Side, Trial } from './trial.ts';

/** Round trips vary more from run to run than within one: many short runs. */
const PING = { runs: 25, rounds: 4_000 };
/** Bulk on one machine falls into a slow or a fast mode by chance; only many runs give a steady median. */
const BULK = { runs: 17, megabytes: 2_000 };
const RATE = { runs: 9, seconds: 2 };

/** Between workloads of one node, where the kernel carries everything; the peer is the kernel without the mesh. */
export function sameTrials(load: string, weft: Way, plain: Way): Trial[] {
  const both = (side: (way: Way) => Side): Pick<Trial, 'weft' | 'peers'> => ({ weft: side(weft), peers: { plain: side(plain) } });
  return [
    {
      ...both((way) => () => roundTrip(way, load, PING.rounds)),
      rounds: PING.runs,
      rows: [{ id: 'same.rtt', metric: 'round trip of 64 bytes, p50, µs', figure: 'p50' }],
    },
    {
      ...both((way) => async () => throughput(await loadOver(way, load, 'bulk', BULK.megabytes))),
      rounds: BULK.runs,
      rows: [{ id: 'same.bulk1', metric: 'one connection, GB/s', figure: 'rate' }],
    },
    {
      ...both((way) => async () => connectionRate(await loadOver(way, load, 'rate', RATE.seconds))),
      rounds: RATE.runs,
      rows: [{ id: 'same.connections', metric: 'connections/s', figure: 'rate' }],
    },
  ];
}

/** `p50` in microseconds. */
export async function roundTrip(way: Way, load: string, rounds: number): Promise<{ p50: number }> {
  return { p50: parseMeasure(await loadOver(way, load, 'ping', rounds), 'p50') / 1000 };
}

/** `rate` in GB/s. */
export function throughput(printed: string): { rate: number } {
  return { rate: parseMeasure(printed, 'bytes') / parseMeasure(printed, 'seconds') / 1e9 };
}

/** `rate` per second. */
export function connectionRate(printed: string): { rate: number } {
  return { rate: parseMeasure(printed, 'connections') / parseMeasure(printed, 'seconds') };
}
