import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type HttpLoad, httpOver } from '../load/http.ts';
import { parseMeasure } from '../report/report.ts';
import { loadOver, type Way, withCpu } from '../rig/way.ts';
import type { WebWays } from '../rig/web.ts';
import { connectionRate } from './same.ts';
import type { Side, Trial } from './trial.ts';

const ROUNDS = 5;
const HTTP1 = { requests: 12_000, connections: 32, atATime: 1, options: ['--h1'], path: '/kib' };
const HTTP2 = { requests: 8_000, connections: 4, atATime: 8, options: [], path: '/kib' };
const NEW_CONNECTION = { seconds: 2, atATime: 8 };
/** A message of gRPC: five bytes of its frame, and as much as a small call carries. */
const MESSAGE_BYTES = 64;
const MICRO = 1e6;

/** A waypoint, HAProxy in HTTP mode, and Envoy, which has a way too on which it writes an access log as a waypoint always does. */
export type WebProxies = { weft: WebWays; haproxy: WebWays; envoy: WebWays & { observed: Way } };

/** Client and origins are on one CPU, the proxy on another. */
export async function waypointTrials(load: string, dir: string, proxies: WebProxies): Promise<Trial[]> {
  const message = join(dir, 'message');
  await writeFile(message, 'x'.repeat(MESSAGE_BYTES));
  const grpc = ['-d', message, '-H', 'content-type: application/grpc', '-H', 'te: trailers'];
  const requests = (way: (ways: WebWays) => Way, amounts: HttpLoad, id: string, words: string): Trial => ({
    ...sides(proxies, (ways) => () => answered(way(ways), amounts, dir)),
    rows: answeredRows(id, words),
  });
  const http2 = requests(({ http2 }) => http2, HTTP2, 'waypoint.h2', 'HTTP/2');
  return [
    requests(({ http1 }) => http1, HTTP1, 'waypoint.http1', 'HTTP/1.1'),
    {
      ...http2,
      rows: [...http2.rows, { id: 'waypoint.http2.cpu', metric: 'HTTP/2: CPU µs, by its former name', figure: 'cost' }],
    },
    requests(({ http2 }) => http2, { ...HTTP2, options: grpc }, 'waypoint.grpc', 'gRPC'),
    newConnections(load, proxies),
    requests(({ routes100 }) => routes100, HTTP1, 'waypoint.routes100', 'HTTP/1.1, 100 routes and 100 policies'),
    {
      rounds: ROUNDS,
      weft: () => answered(proxies.weft.http1, HTTP1, dir),
      peers: { envoy: () => answered(proxies.envoy.observed, HTTP1, dir) },
      rows: answeredRows('waypoint.observed', 'HTTP/1.1, a line of log each'),
    },
  ];
}

function sides(proxies: WebProxies, side: (ways: WebWays) => Side): Pick<Trial, 'rounds' | 'weft' | 'peers'> {
  return { rounds: ROUNDS, weft: side(proxies.weft), peers: { haproxy: side(proxies.haproxy), envoy: side(proxies.envoy) } };
}

function answeredRows(id: string, words: string): Trial['rows'] {
  return [
    { id: `${id}.rps`, metric: `${words}: answered per second`, figure: 'rate' },
    { id: `${id}.p99`, metric: `${words}: p99, ms`, figure: 'p99' },
    { id: `${id}.cpu`, metric: `${words}: CPU µs`, figure: 'cost' },
  ];
}

async function answered(way: Way, load: HttpLoad, dir: string): Promise<{ rate: number; p99: number; cost: number }> {
  const [{ requests, rate, p99 }, cpu] = await withCpu(way, () => httpOver(way, load, dir));
  return { rate, p99, cost: (cpu / requests) * MICRO };
}

function newConnections(load: string, proxies: WebProxies): Trial {
  const { seconds, atATime } = NEW_CONNECTION;
  return {
    ...sides(proxies, ({ http1 }) => async () => {
      const [printed, cpu] = await withCpu(http1, () => loadOver(http1, load, 'http', seconds, atATime));
      return { ...connectionRate(printed), cost: (cpu / parseMeasure(printed, 'connections')) * MICRO };
    }),
    rows: [
      { id: 'waypoint.newconn.rps', metric: `requests/s, each with a connection, ${atATime} at a time`, figure: 'rate' },
      { id: 'waypoint.newconn.cpu', metric: 'CPU µs per such request', figure: 'cost' },
    ],
  };
}
