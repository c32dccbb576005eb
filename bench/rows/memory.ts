import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Child } from '#testbed/processes/child.ts';
import { endedEarly, within } from '#testbed/processes/wait.ts';
import { httpOver } from '../load/http.ts';
import type { Rig } from '../rig/rig.ts';
import { residentKib, type Way } from '../rig/way.ts';
import { warmConnections } from './cross.ts';
import type { Figures, Trial } from './trial.ts';

/** Enough that a process has what it needs for any connection. */
const FEW_CONNECTIONS = 1_000;
/** As many as it takes for what a process keeps of former connections to be there. */
const FORMER_CONNECTIONS = 40_000;
/** One workload may hold three quarters of what its agent carries, which is half of its descriptors: 7,125 where they end at 20,000. */
const IDLE_CONNECTIONS = 5_000;
const REQUESTS = { requests: 20_000, connections: 32, atATime: 1, options: ['--h1'], path: '/kib' };
const SETTLE_MS = 2_000;
const OPEN_MS = 60_000;
const KIB_PER_MIB = 1024;

/** A proxy of HTTP, and the way through it to an origin of HTTP/1.1. */
type WebProxy = { http1: Way; proxy: number };

/** Memory of the agents, and of the waypoint: one round, since a process is young only once. */
export function memoryTrials(
  rig: Rig,
  ways: { weft: Way; relay: Way },
  web: Readonly<Record<'weft' | 'haproxy' | 'envoy', WebProxy>>,
): Trial[] {
  const nothing = { weft: async () => {}, peer: async () => {} };
  return [
    {
      rounds: 1,
      warmUp: nothing,
      weft: () => connectionMemory(rig, ways.weft),
      peers: { 'c-relay': () => connectionMemory(rig, ways.relay) },
      rows: [
        { id: 'memory.agent-idle', metric: 'MiB of a proxy before its first connection', figure: 'idle' },
        { id: 'memory.agent', metric: 'MiB of a proxy after 40,000 connections', figure: 'resident' },
        { id: 'memory.per-connection', metric: 'KiB of a proxy per idle connection, of 5,000', figure: 'each' },
      ],
    },
    {
      rounds: 1,
      warmUp: nothing,
      weft: () => requestMemory(rig, web.weft),
      peers: { haproxy: () => requestMemory(rig, web.haproxy), envoy: () => requestMemory(rig, web.envoy) },
      rows: [
        { id: 'memory.waypoint-idle', metric: 'MiB of a proxy before its first request', figure: 'idle' },
        { id: 'memory.waypoint', metric: 'MiB of a proxy after 20,000 requests', figure: 'resident' },
        { id: 'memory.waypoint-connection', metric: 'KiB of a proxy per idle connection of a client, of 5,000', figure: 'each' },
      ],
    },
  ];
}

async function requestMemory(rig: Rig, { http1, proxy }: WebProxy): Promise<Figures> {
  const idle = (await residentKib(proxy)) / KIB_PER_MIB;
  await httpOver(http1, REQUESTS, rig.dir);
  await sleep(SETTLE_MS);
  const resident = await residentKib(proxy);
  const held = await holdConnections(rig, http1, 'idle-http');
  await sleep(SETTLE_MS);
  const each = ((await residentKib(proxy)) - resident) / IDLE_CONNECTIONS;
  await held.stop();
  return { idle, resident: resident / KIB_PER_MIB, each };
}

/**
 * The figures are of the middle of the two proxies. Idle connections come first: what a process keeps of many former ones is room
 * in which new ones would not be seen.
 */
async function connectionMemory(rig: Rig, way: Way): Promise<Figures> {
  const idle = (await meanKib(way)) / KIB_PER_MIB;
  await warmConnections(rig.load, way, FEW_CONNECTIONS);
  await sleep(SETTLE_MS);
  const before = await meanKib(way);
  const held = await holdConnections(rig, way, 'idle');
  await sleep(SETTLE_MS);
  const each = ((await meanKib(way)) - before) / IDLE_CONNECTIONS;
  await held.stop();
  await warmConnections(rig.load, way, FORMER_CONNECTIONS);
  await sleep(SETTLE_MS);
  return { resident: (await meanKib(way)) / KIB_PER_MIB, idle, each };
}

async function meanKib({ carriers }: Way): Promise<number> {
  let sum = 0;
  for (const pid of carriers) sum += await residentKib(pid);
  return sum / carriers.length;
}

/** Connections that do nothing, until the process that holds them is stopped. Errors: WEFT_TESTBED_APP, WEFT_TESTBED_TIMEOUT. */
async function holdConnections(rig: Rig, way: Way, mode: 'idle' | 'idle-http'): Promise<Child> {
  const line = way.atClient([rig.load, mode, way.host, way.port, String(IDLE_CONNECTIONS)]);
  const child = rig.spawn({ name: mode, command: line, logPath: join(rig.plan.logDir, `${mode}.log`) });
  const open = new Promise<void>((resolve, reject) => {
    child.onLine(() => resolve());
    void child.ended.then(() => reject(endedEarly(child)));
  });
  try {
    await within('opening of idle connections', OPEN_MS, open);
  } catch (error) {
    await child.stop();
    throw error;
  }
  return child;
}
