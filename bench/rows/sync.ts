import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { command, tryCommand } from '#testbed/processes/command.ts';
import { waitUntil } from '#testbed/processes/wait.ts';
import { parseMeasure } from '../report/report.ts';
import { CPU, pin, type Rig } from '../rig/rig.ts';
import type { Way } from '../rig/way.ts';
import { writeMesh } from '../scale/mesh.ts';
import type { Figures, Trial } from './trial.ts';

const [WORKLOADS, SERVICES] = [50_000, 1_000];
const ROUNDS = 3;
/** More than there is time for: they end when the sync does. */
const PINGS_MAX = 2_000_000;
const PING_MS = 6_000;
const LOOK_MS = 100;
/** A control thread that is busy for so much of the time takes in the mesh; with so little for a second it is done. */
const [BUSY, RESTING] = [0.5, 0.05];
const REST_LOOKS = 10;
const SYNC_MS = 240_000;

/** Round trips across nodes while the client's agent takes in a mesh, every workload of which has changed, against none that change. */
export async function syncTrials(rig: Rig, way: Way): Promise<Trial[]> {
  await moveApart(rig);
  let weight = 1;
  return [
    {
      rounds: ROUNDS,
      weft: () => whileSyncing(rig, way, ++weight),
      peers: { idle: () => whileIdle(rig, way) },
      warmUp: {
        weft: () => whileSyncing(rig, way, 1),
        peer: () => whileIdle(rig, way),
      },
      rows: [
        {
          id: 'cross.sync-rtt.p99',
          metric: `round trip of 64 bytes in a sync of ${WORKLOADS} workloads, p99, µs`,
          figure: 'p99',
        },
        { id: 'cross.sync-rtt.p50', metric: 'the same, p50, µs', figure: 'p50' },
      ],
    },
  ];
}

/** What follows the mesh has one CPU, with what collects the garbage; what carries, with its client and server, has the other. */
async function moveApart({ lab, agents, client, far }: Rig): Promise<void> {
  for (const { pid } of [lab.control, ...Object.values(agents)]) await pin(pid, CPU.server);
  for (const { pid } of [client, far]) await pin(pid, CPU.client);
  for (const { pid } of Object.values(agents))
    for (const thread of await dataThreadsOf(pid)) await command(['taskset', '-cp', CPU.client, thread]);
}

async function dataThreadsOf(pid: number): Promise<string[]> {
  const tasks = `/proc/${pid}/task`;
  const threads = await readdir(tasks);
  const names = await Promise.all(threads.map((thread) => readFile(join(tasks, thread, 'comm'), 'utf8')));
  return threads.filter((_, at) => names[at]?.trim() === 'weft-data');
}

/** A stranger has the CPU of what follows the mesh, so that whatever else the machine does is driven from it as by a sync. */
async function whileIdle(rig: Rig, way: Way): Promise<Figures> {
  const spin = ['timeout', String(PING_MS / 1_000), 'sh', '-c', 'while :; do :; done'];
  return pinged(rig, way, () => tryCommand(['taskset', '-c', CPU.server, ...spin], 2 * PING_MS));
}

async function whileSyncing(rig: Rig, way: Way, weight: number): Promise<Figures> {
  const { pid } = rig.agents.alpha;
  await writeMesh(rig.lab.configDir, { workloads: WORKLOADS, services: SERVICES, policies: 0, weight });
  await waitUntil('begin of the sync', SYNC_MS, async () => (await shareOfTime(pid)) > BUSY);
  const figures = await pinged(rig, way, () => atRest(pid, PING_MS).catch(() => {})); // it goes on for longer than that
  await atRest(pid, SYNC_MS);
  return figures;
}

/** Resolves when the thread that follows the mesh has had nothing to do for a while. */
function atRest(pid: number, withinMs: number): Promise<unknown> {
  let rested = 0;
  return waitUntil('end of the sync', withinMs, async () => {
    rested = (await shareOfTime(pid)) < RESTING ? rested + 1 : 0;
    return rested >= REST_LOOKS;
  });
}

/** For how much of the time the thread that follows the mesh, which is the process's first, had something to do. */
async function shareOfTime(pid: number): Promise<number> {
  // What it has run for, and what it has waited for a CPU that others had.
  const busyNs = async (): Promise<number> => {
    const [ran = 0, waited = 0] = (await readFile(`/proc/${pid}/task/${pid}/schedstat`, 'utf8')).split(' ').map(Number);
    return ran + waited;
  };
  const [before, since] = [await busyNs(), performance.now()];
  await sleep(LOOK_MS);
  return ((await busyNs()) - before) / 1e6 / (performance.now() - since);
}

/** Round trips for as long as something takes: p50 and p99 in microseconds. */
async function pinged(rig: Rig, way: Way, meanwhile: () => Promise<unknown>): Promise<Figures> {
  const line = way.atClient([rig.load, 'ping', way.host, way.port, String(PINGS_MAX)]);
  const child = rig.spawn({ name: 'ping', command: line, logPath: join(rig.plan.logDir, 'ping.log') });
  const said = new Promise<string>((resolve) => child.onLine(resolve));
  await meanwhile();
  child.signal('SIGTERM');
  const printed = await said;
  await child.ended;
  return { p50: parseMeasure(printed, 'p50') / 1_000, p99: parseMeasure(printed, 'p99') / 1_000 };
}
