import { type HttpLoad, httpOver } from '../load/http.ts';
import type { FeatureWays } from '../rig/features.ts';
import { type Way, withCpu } from '../rig/way.ts';
import type { Side, Trial } from './trial.ts';

const ROUNDS = 7;
const LOAD: HttpLoad = { requests: 12_000, connections: 32, atATime: 1, options: ['--h1'], path: '/kib' };
const MICRO = 1e6;

/** What one feature costs: the CPU of a waypoint per request with it, and of the same waypoint at the same time without it. */
export function featureTrials(ways: FeatureWays, dir: string): Trial[] {
  const side = (way: Way, options: readonly string[] = []): Side => {
    const load = { ...LOAD, options: [...LOAD.options, ...options] };
    return async () => {
      const [{ requests }, cpu] = await withCpu(way, () => httpOver(way, load, dir));
      return { cost: (cpu / requests) * MICRO };
    };
  };
  const trial = (id: string, words: string, on: Side, off: Side): Trial => ({
    rounds: ROUNDS,
    weft: on,
    peers: { off },
    rows: [{ id: `waypoint.with-${id}.cpu`, metric: `HTTP/1.1: CPU µs with ${words}`, figure: 'cost' }],
  });
  const plain = side(ways.plain);
  const bearing = ['-H', ways.authorization];
  return [
    trial('metrics', 'metrics', plain, side(ways.unmetered)),
    trial('log', 'a line of log each', plain, side(ways.unlogged)),
    trial('routes100', '100 rules of routes', side(ways.routes), plain),
    trial('policies100', '100 policies', side(ways.policies), plain),
    // Both sides carry it, one looks at it.
    trial('jwt', 'a token that is proved', side(ways.token, bearing), side(ways.plain, bearing)),
    trial('ratelimit', 'a rate limit by client', side(ways.limited), plain),
  ];
}
