import { writeFile } from 'node:fs/promises';
import { type Bare, bareNamespaces, HAPROXY_PORT, haproxyPair } from './peers.ts';
import { parseMeasure, type Row, renderRows, rowOf } from './report.ts';
import { bare, cpuSeconds, DIAL, LOAD_PORT, meshed, type Rig, rigUp } from './rig.ts';

const ROUNDS = 9;
/** Bulk on one machine falls into a slow or a fast mode by chance; only many runs give a steady median. */
const BULK_NEAR_ROUNDS = 17;
/** Round trips vary more from run to run than within one: many short runs. */
const PING_RUNS = 25;
const PING_ROUNDS = '4000';
const BULK_NEAR_MEGABYTES = '2000';
const BULK_FAR_MEGABYTES = '600';
const RATE_SECONDS = '2';
const PORT = String(LOAD_PORT);
const GIGA = 1e9;

type Measure = () => Promise<number>;
type Pair = { name: string; metric: string; peerName: string; rounds?: number; weft: Measure; peer: Measure };

/** `interrupted`: aborted by Ctrl-C and its like; everything is removed, then the bench ends. */
export type BenchRequest = { jsonPath: string | null; out: (text: string) => void; interrupted: AbortSignal };

/** Runs every comparison, prints the table, and writes it as JSON to `jsonPath`. Returns the exit code. */
export async function runBench({ jsonPath, out, interrupted }: BenchRequest): Promise<number> {
  out('building two nodes …\n');
  const rig = await rigUp();
  let twins: Bare | null = null;
  try {
    twins = await bareNamespaces(rig);
    const proxies = await haproxyPair(rig, twins);
    const rows: Row[] = [];
    const pairs = [...sameNode(rig, twins), ...crossNode(rig, twins, [proxies.client.pid, proxies.server.pid])];
    for (const pair of pairs) {
      out(`measuring ${pair.name}, ${pair.metric} …\n`);
      const row = await compare(pair, interrupted);
      if (row === null) return 130;
      rows.push(row);
    }
    out(`\n${renderRows(rows)}\n`);
    if (jsonPath !== null) await writeFile(jsonPath, `${JSON.stringify({ rows }, null, 2)}\n`);
    return 0;
  } finally {
    await twins?.down();
    await rig.down();
  }
}

/** Medians of alternating runs; one run of each is thrown away to warm both up. */
async function compare({ weft, peer, rounds = ROUNDS, ...names }: Pair, interrupted: AbortSignal): Promise<Row | null> {
  await weft();
  await peer();
  const figures: { weft: number[]; peer: number[] } = { weft: [], peer: [] };
  for (let round = 0; round < rounds; round++) {
    // Who goes first changes, so that neither side always follows the other.
    const order = round % 2 === 0 ? (['weft', 'peer'] as const) : (['peer', 'weft'] as const);
    for (const side of order) {
      if (interrupted.aborted) return null;
      figures[side].push(await (side === 'weft' ? weft() : peer()));
    }
  }
  return rowOf(names, figures.weft, figures.peer);
}

const pingMicroseconds = (text: string): number => parseMeasure(text, 'p50') / 1000;
const gigabytesPerSecond = (text: string): number => parseMeasure(text, 'bytes') / parseMeasure(text, 'seconds') / GIGA;
const connectionsPerSecond = (text: string): number => parseMeasure(text, 'connections') / parseMeasure(text, 'seconds');

function sameNode(rig: Rig, { near }: Bare): Pair[] {
  const name = 'same node (direct)';
  const peerName = 'plain TCP, bare namespaces';
  const plain = (...args: [string, string]): Promise<string> => bare(rig, near.client, args[0], near.address, PORT, args[1]);
  return [
    {
      name,
      metric: '64-byte round trip p50, µs',
      peerName,
      rounds: PING_RUNS,
      weft: async () => pingMicroseconds(await meshed(rig, 'ping', DIAL.near, PORT, PING_ROUNDS)),
      peer: async () => pingMicroseconds(await plain('ping', PING_ROUNDS)),
    },
    {
      name,
      metric: 'bulk throughput, GB/s',
      peerName,
      rounds: BULK_NEAR_ROUNDS,
      weft: async () => gigabytesPerSecond(await meshed(rig, 'bulk', DIAL.near, PORT, BULK_NEAR_MEGABYTES)),
      peer: async () => gigabytesPerSecond(await plain('bulk', BULK_NEAR_MEGABYTES)),
    },
    {
      name,
      metric: 'connections/s',
      peerName,
      weft: async () => connectionsPerSecond(await meshed(rig, 'rate', DIAL.near, PORT, RATE_SECONDS)),
      peer: async () => connectionsPerSecond(await plain('rate', RATE_SECONDS)),
    },
  ];
}

function crossNode(rig: Rig, { far }: Bare, proxies: readonly number[]): Pair[] {
  const name = 'cross node (HBONE)';
  const peerName = 'HAProxy pair, mutual TLS 1.3';
  const agents = [rig.agents.alpha.pid, rig.agents.beta.pid];
  const viaMesh = (...args: [string, string]): Promise<string> => meshed(rig, args[0], DIAL.far, PORT, args[1]);
  const viaProxies = (...args: [string, string]): Promise<string> =>
    bare(rig, far.client, args[0], '127.0.0.1', String(HAPROXY_PORT), args[1]);
  return [
    {
      name,
      metric: '64-byte round trip p50, µs',
      peerName,
      rounds: PING_RUNS,
      weft: async () => pingMicroseconds(await viaMesh('ping', PING_ROUNDS)),
      peer: async () => pingMicroseconds(await viaProxies('ping', PING_ROUNDS)),
    },
    {
      name,
      metric: 'bulk throughput, GB/s',
      peerName,
      weft: async () => gigabytesPerSecond(await viaMesh('bulk', BULK_FAR_MEGABYTES)),
      peer: async () => gigabytesPerSecond(await viaProxies('bulk', BULK_FAR_MEGABYTES)),
    },
    {
      name,
      metric: 'CPU seconds per GB',
      peerName,
      weft: () => cpuPerGigabyte(agents, () => viaMesh('bulk', BULK_FAR_MEGABYTES)),
      peer: () => cpuPerGigabyte(proxies, () => viaProxies('bulk', BULK_FAR_MEGABYTES)),
    },
  ];
}

/** CPU of the two proxies or agents alone, for one transfer. */
async function cpuPerGigabyte(pids: readonly number[], transfer: () => Promise<string>): Promise<number> {
  const before = await cpuSeconds(pids);
  const bytes = parseMeasure(await transfer(), 'bytes');
  return ((await cpuSeconds(pids)) - before) / (bytes / GIGA);
}
