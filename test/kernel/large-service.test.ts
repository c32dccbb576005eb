import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { after, before, describe, test } from 'node:test';
import { type IpAddress, parseIp } from '#model/address/ip.ts';
import { aService, aWorkload, deltaOf, endpointOf } from '#model/mesh/mesh-fixtures.testing.ts';
import { type App, Bed } from './bed.testing.ts';
import { agentOn, workload } from './mesh.testing.ts';

const ENDPOINTS = 10_000;
const VIPS = 60;
const DRAWS = 10_000;
const BINS = 100;
const PORT = 80;
/** Of a service with 60 addresses one endpoint among 10,000 changes: against all of them, a change that made all of them anew took more. */
const CHANGE_SHARE_MAX = 0.2;
/** Chi-square with 99 degrees of freedom exceeds this once in 10,000 fair draws. */
const CHI_SQUARE_MAX = 161;

/** The server says one number for each hundred of them, in both networks. */
function addressOf(at: number, network = 64): IpAddress {
  return parseIp(`10.${network}.${at >> 8}.${at & 255}`);
}

/** How far counts are from a fair draw of all bins. */
function chiSquare(counts: Readonly<Record<string, number>>): number {
  const expected = DRAWS / BINS;
  let sum = 0;
  for (let bin = 0; bin < BINS; bin++) sum += ((counts[bin] ?? 0) - expected) ** 2 / expected;
  return sum;
}

describe(`a service of ${ENDPOINTS} endpoints at ${VIPS} addresses, in the kernel`, () => {
  const bed = new Bed();
  const hosts = { client: bed.host(1), far: bed.host(2) };
  const service = aService(
    'wide',
    Array.from({ length: VIPS }, (_, at) => `240.0.1.${at}`),
  );
  const endpoint = (at: number, ip = addressOf(at)) =>
    aWorkload(`w${at}`, [ip], { node: 'two', tunnelProtocol: 'none', services: endpointOf(service) });
  const vip = (at: number): string => `240.0.1.${at}`;
  let agent: ReturnType<typeof agentOn>;
  let client: App;
  /** CPU that all endpoints took when they came. */
  let allMs = 0;

  /** CPU that the agent takes to learn it. */
  const cpuMsOf = (delta: Parameters<typeof agent.agent.applyMesh>[0]): number => {
    const before = process.cpuUsage();
    agent.agent.applyMesh(delta, true);
    const { user, system } = process.cpuUsage(before);
    return (user + system) / 1_000;
  };
  const tally = async (host: string): Promise<Record<string, number>> => {
    client.send(`tally ${DRAWS} ${host} ${PORT}`);
    return JSON.parse(await client.line()) as Record<string, number>;
  };

  before(async () => {
    agent = agentOn(bed);
    const { workload: record, request } = workload({ name: 'client', addresses: [hosts.client.ip4, hosts.client.ip6] });
    await agent.agent.enroll({ ...request, netnsPath: hosts.client.netnsPath });
    agent.takeOver();
    allMs = cpuMsOf(deltaOf([record, ...Array.from({ length: ENDPOINTS }, (_, at) => endpoint(at))], [service]));
    // One machine that has all of their addresses.
    execFileSync('ip', ['-n', hosts.far.name, 'route', 'add', 'local', '10.64.0.0/15', 'dev', 'lo']);
    execFileSync('ip', ['-n', hosts.client.name, 'route', 'add', '10.64.0.0/15', 'via', hosts.far.ip4]);
    await bed.app(hosts.far.netnsPath, 'address-greeter', { port: 8_080, captured: false }).line();
    client = bed.app(hosts.client.netnsPath, 'tally-client');
    await client.line();
  });
  after(async () => {
    agent?.stop();
    await bed.down();
  });

  test('S9: all of them are drawn equally often', async () => {
    const counts = await tally(vip(0));
    const heard = Object.values(counts).reduce((sum, count) => sum + count, 0);
    assert.deepEqual([heard, Object.keys(counts).length], [DRAWS, BINS], JSON.stringify(counts));
    assert.ok(chiSquare(counts) <= CHI_SQUARE_MAX, `${chiSquare(counts)}: ${JSON.stringify(counts)}`);
  });

  test('S9: the change of one costs the agent a small part of what all cost it, and leaves the draw fair', async (t) => {
    const took = Array.from({ length: 40 }, (_, at) => cpuMsOf(deltaOf([endpoint(at, addressOf(at, 65))])));
    const [median = 0] = took.toSorted((a, b) => a - b).slice(took.length / 2);
    t.diagnostic(`${median.toFixed(1)} ms of CPU for one, ${allMs.toFixed(0)} for all`);
    assert.ok(median <= CHANGE_SHARE_MAX * allMs, `of ${allMs}: ${took.join(' ')}`);
    const counts = await tally(vip(VIPS - 1));
    assert.ok(chiSquare(counts) <= CHI_SQUARE_MAX, `${chiSquare(counts)}: ${JSON.stringify(counts)}`);
    const gone = new Map(Array.from({ length: ENDPOINTS / 2 }, (_, at) => [endpoint(at).uid, null]));
    agent.agent.applyMesh({ workloads: gone, services: new Map(), policies: new Map() }, true);
    const left = Object.keys(await tally(vip(1))).map(Number);
    assert.deepEqual([left.length, Math.min(...left)], [BINS / 2, BINS / 2], 'what is gone is not drawn');
  });
});
