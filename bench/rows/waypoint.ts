import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type HttpLoad, httpOver } from '../load/http.ts';
import { parseMeasure } from '../report/report.ts';
import { loadOver, type Way, withCpu } from '../rig/way.ts';
import type { HttpVersion } from '../rig/web.ts';
import { connectionRate } from './same.ts';
import type { Side, Trial } from './trial.ts';

const ROUNDS = 5;
const HTTP1 = { requests: 12_000, connections: 32, atATime: 1, options: ['--h1'], path: '/kib' };
const HTTP2 = { requests: 8_000, connections: 4, atATime: 8, options: [], path: '/kib' };
const NEW_CONNECTION = { seconds: 2, atATime: 8 };
/** A message of gRPC: five bytes of its frame, and as much as a small call carries. */
const MESSAGE_BYTES = 64;
const MICRO = 1e6;

/** The ways through a proxy of HTTP to origins of both versions. */
export type WebWays = Record<HttpVersion, Way>;

/** A waypoint, with its access log on, against HAProxy in HTTP mode: client and origins on one CPU, the proxy on another. */
export async function waypointTrials(load: string, dir: string, weft: WebWays, haproxy: WebWays): Promise<Trial[]> {
  const message = join(dir, 'message');
  await writeFile(message, 'x'.repeat(MESSAGE_BYTES));
  const grpc = ['-d', message, '-H', 'content-type: application/grpc', '-H', 'te: trailers'];
  const both = (side: (ways: WebWays) => Side): Pick<Trial, 'rounds' | 'weft' | 'peers'> => ({
    rounds: ROUNDS,
    weft: side(weft),
    peers: { haproxy: side(haproxy) },
  });
  return [
    {
      ...both(
        ({ http1 }) =>
          () =>
            answered(http1, HTTP1, dir),
      ),
      rows: [
        { id: 'waypoint.http1.rps', metric: 'HTTP/1.1 requests/s, 32 connections', figure: 'rate' },
        { id: 'waypoint.http1.p99', metric: 'HTTP/1.1 p99, ms', figure: 'p99' },
        { id: 'waypoint.http1.cpu', metric: 'CPU µs per HTTP/1.1 request', figure: 'cost' },
      ],
    },
    {
      ...both(
        ({ http2 }) =>
          () =>
            answered(http2, HTTP2, dir),
      ),
      rows: [{ id: 'waypoint.http2.cpu', metric: 'CPU µs per HTTP/2 request', figure: 'cost' }],
    },
    {
      ...both(
        ({ http2 }) =>
          () =>
            answered(http2, { ...HTTP2, options: grpc }, dir),
      ),
      rows: [{ id: 'waypoint.grpc.cpu', metric: 'CPU µs per call with message and trailers', figure: 'cost' }],
    },
    newConnections(load, both),
  ];
}

async function answered(way: Way, load: HttpLoad, dir: string): Promise<{ rate: number; p99: number; cost: number }> {
  const [{ requests, rate, p99 }, cpu] = await withCpu(way, () => httpOver(way, load, dir));
  return { rate, p99, cost: (cpu / requests) * MICRO };
}

function newConnections(load: string, both: (side: (ways: WebWays) => Side) => Pick<Trial, 'rounds' | 'weft' | 'peers'>): Trial {
  const { seconds, atATime } = NEW_CONNECTION;
  return {
    ...both(({ http1 }) => async () => {
      const [printed, cpu] = await withCpu(http1, () => loadOver(http1, load, 'http', seconds, atATime));
      return { ...connectionRate(printed), cost: (cpu / parseMeasure(printed, 'connections')) * MICRO };
    }),
    rows: [
      { id: 'waypoint.newconn.rps', metric: `requests/s, each with a connection, ${atATime} at a time`, figure: 'rate' },
      { id: 'waypoint.newconn.cpu', metric: 'CPU µs per such request', figure: 'cost' },
    ],
  };
}
