import { parseMeasure, type RowName } from '../report/report.ts';
import { loadOver, type Way, withCpu } from '../rig/way.ts';
import { connectionRate, roundTrip, throughput } from './same.ts';
import type { Side, Trial } from './trial.ts';

const PING = { runs: 15, rounds: 2_500 };
const BULK = { runs: 7, megabytes: 600, connections: 8 };
const RATE = { runs: 5, seconds: 2, atATime: 8 };
/** Just-in-time compilers and caches make later connections cheaper than the first. */
const WARM_CONNECTIONS = 5_000;
const WARM_SECONDS = 2;
/** Connections on which messages go back and forth. */
const SMALL = { runs: 5, seconds: 1, connections: [1, 8, 32, 100] };
const MICRO = 1e6;

/** The ways across nodes: through two agents, two relays in C, two HAProxy. */
export type CrossWays = { weft: Way; relay: Way; haproxy: Way };

function all({ weft, relay, haproxy }: CrossWays, side: (way: Way) => Side): Pick<Trial, 'weft' | 'peers'> {
  return { weft: side(weft), peers: { 'c-relay': side(relay), haproxy: side(haproxy) } };
}

/** Between workloads of two nodes: round trips, bulk, new connections, and what they cost. */
export function crossTrials(load: string, ways: CrossWays): Trial[] {
  const bulk = (connections: number): Pick<Trial, 'weft' | 'peers'> =>
    all(ways, (way) => async () => {
      const [printed, cpu] = await withCpu(way, () => loadOver(way, load, 'bulk', BULK.megabytes, connections));
      return { ...throughput(printed), cost: cpu / (parseMeasure(printed, 'bytes') / 1e9) };
    });
  return [
    {
      ...all(ways, (way) => () => roundTrip(way, load, PING.rounds)),
      rounds: PING.runs,
      rows: [{ id: 'cross.rtt', metric: 'round trip of 64 bytes, p50, µs', figure: 'p50' }],
    },
    {
      ...bulk(1),
      rounds: BULK.runs,
      rows: [
        { id: 'cross.bulk1', metric: 'one connection, GB/s', figure: 'rate' },
        { id: 'cross.cpu-per-gb', metric: 'CPU seconds of both proxies per GB', figure: 'cost' },
      ],
    },
    {
      ...bulk(BULK.connections),
      rounds: BULK.runs,
      rows: [{ id: 'cross.bulk8', metric: `${BULK.connections} connections, GB/s`, figure: 'rate' }],
    },
    connections(load, ways),
  ];
}

function connections(load: string, ways: CrossWays): Trial {
  const rate = (way: Way): Promise<string> => loadOver(way, load, 'rate', RATE.seconds, RATE.atATime);
  return {
    ...all(ways, (way) => async () => {
      const [printed, cpu] = await withCpu(way, () => rate(way));
      return { ...connectionRate(printed), cost: (cpu / parseMeasure(printed, 'connections')) * MICRO };
    }),
    rounds: RATE.runs,
    rows: [
      { id: 'cross.connections', metric: `connections/s, ${RATE.atATime} at a time`, figure: 'rate' },
      { id: 'cross.connection-cpu', metric: 'CPU µs of both proxies per connection', figure: 'cost' },
    ],
    warmUp: {
      weft: async () => {
        await warmConnections(load, ways.weft, WARM_CONNECTIONS);
      },
      peer: async () => {},
    },
  };
}

/** Makes connections over a way until there were so many. */
export async function warmConnections(load: string, way: Way, count: number): Promise<void> {
  for (let made = 0; made < count; )
    made += parseMeasure(await loadOver(way, load, 'rate', WARM_SECONDS, RATE.atATime), 'connections');
}

/** Messages back and forth: what one costs both proxies, by the number of connections, with several under way, and with long answers. */
export function smallTrials(load: string, ways: CrossWays): Trial[] {
  return [
    ...SMALL.connections.map((connections) =>
      messages(load, ways, {
        mode: 'small',
        connections,
        row: { id: `cross.small${connections}.cpu`, metric: `CPU µs per 64-byte message, ${connections} connections` },
      }),
    ),
    messages(load, ways, {
      mode: 'pipelined',
      connections: 1,
      row: { id: 'cross.pipelined16.cpu', metric: 'CPU µs per 64-byte message, 16 under way' },
    }),
    messages(load, ways, {
      mode: 'replies',
      connections: 8,
      row: { id: 'cross.replies64k.cpu', metric: 'CPU µs per 64-KiB reply, 8 connections' },
    }),
  ];
}

/** `mode`: of the load program. */
type Messages = { mode: 'small' | 'pipelined' | 'replies'; connections: number; row: RowName };

function messages(load: string, ways: CrossWays, { mode, connections, row }: Messages): Trial {
  return {
    ...all(ways, (way) => async () => {
      const [printed, cpu] = await withCpu(way, () => loadOver(way, load, mode, SMALL.seconds, connections));
      return { cost: (cpu / parseMeasure(printed, 'messages')) * MICRO };
    }),
    rounds: SMALL.runs,
    rows: [{ ...row, figure: 'cost' }],
  };
}
