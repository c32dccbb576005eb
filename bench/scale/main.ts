import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { NODE_FLAGS } from '#platform/program/installation.ts';
import { MeasuredControl } from './control.ts';
import { measureEdits } from './edits.ts';
import type { FollowOrder } from './fleet-messages.ts';
import { Fleet, PATIENCE_MS } from './fleet-process.ts';
import { measureGrowth } from './growth.ts';
import { kernelRows } from './kernel.ts';
import { editOfStorm, editPolicy, editWorkload, writeMesh } from './mesh.ts';
import { costOf, renderScale, type ScaleRow } from './rows.ts';
import { measureStorm, STORM_FILES } from './storm.ts';

// `make bench-scale`: one control plane as the mesh grows. Arguments: workloads, policies, clients, and a file for JSON or ''.

const [WORKLOADS = 10_000, POLICIES = 1_000, CLIENTS = 50] = process.argv.slice(2, 5).map(Number);
const JSON_PATH = process.argv[5] ?? '';
const SERVICES = 2_000;
/** Clients while 1,000 files are edited a second. */
const STORM_CLIENTS = Math.min(10, CLIENTS);
const PORT = 15_912;
const IDLE_MS = 5_000;
/** Longer than a change takes to be taken in. */
const SETTLED_MS = 1_000;

/** What an agent pays, measured in a process of its own. */
async function agentRows(): Promise<ScaleRow[]> {
  const program = ['--expose-gc', ...NODE_FLAGS, join(import.meta.dirname, 'agent-rows.ts')];
  const { stdout } = await promisify(execFile)(process.execPath, program, { timeout: 3 * PATIENCE_MS });
  return JSON.parse(stdout);
}

const dir = await mkdtemp(join(tmpdir(), 'weft-scale-'));
const mesh = join(dir, 'mesh');
console.log(`${WORKLOADS} workloads, ${SERVICES} services, ${POLICIES} policies, ${CLIENTS} clients`);
await writeMesh(mesh, { workloads: WORKLOADS, services: SERVICES, policies: POLICIES });
await editWorkload(mesh, 1);
await editPolicy(mesh, 1);
for (let index = 0; index < STORM_FILES; index++) editOfStorm(mesh, index, 1);
let control = new MeasuredControl(dir, PORT);
const fleet = new Fleet();
const rows: ScaleRow[] = [];
try {
  await measureStart();
  await measureFirstKeeping();
  const clients = await makeClients(CLIENTS + 1);
  await measureSync('scale.sync1', clients.slice(0, 1));
  const watched = { watchers: 1, cpuBound: 5, control, fleet, mesh };
  rows.push(...(await measureEdits({ id: 'scale.workload-edit', edit: editWorkload, ...watched })));
  rows.push(...(await measureEdits({ id: 'scale.policy-edit', edit: editPolicy, ...watched })));
  await measureSync('scale.sync-some', clients.slice(1, STORM_CLIENTS));
  rows.push(...(await measureStorm({ id: 'scale.storm-1000', perSecond: 1_000, control, fleet, mesh })));
  await measureSync('scale.sync', clients.slice(STORM_CLIENTS));
  rows.push(...(await measureStorm({ id: 'scale.storm-100-fleet', perSecond: 100, control, fleet, mesh })));
  // Telling it to each client is a part of it here.
  const watchers = CLIENTS + 1;
  const ofFleet = { id: 'scale.workload-edit-fleet', edit: editWorkload, watchers, cpuBound: null, control, fleet, mesh };
  rows.push(...(await measureEdits(ofFleet)));
  await measureReconnect(clients);
  await measureIdle();
  await measureRestart(clients);
} finally {
  fleet.stop();
  await control.stop();
  rows.push(...(await agentRows()));
  rows.push(...(await measureGrowth(rows, { workloads: WORKLOADS, services: SERVICES, policies: POLICIES }, PORT + 1)));
  if (process.getuid?.() === 0) rows.push(...(await kernelRows()));
  else console.log('scale.kernel.* needs root, and is left out');
  await rm(dir, { recursive: true, force: true });
  console.log(`\n${renderScale(rows)}`);
}
if (JSON_PATH !== '')
  await writeFile(
    JSON_PATH,
    `${JSON.stringify({ workloads: WORKLOADS, policies: POLICIES, clients: CLIENTS, rows }, null, 2)}\n`,
  );

async function measureStart(): Promise<void> {
  await control.ready();
  const { cpuMs, rssMib, peakMib, stallMs } = await control.usage();
  rows.push({ id: 'scale.start.cpu', value: cpuMs / 1_000, unit: 's', bound: null });
  rows.push({ id: 'scale.start.stall', value: stallMs, unit: 'ms', bound: null });
  rows.push({ id: 'scale.start.rss', value: rssMib, unit: 'MiB', bound: 500 });
  rows.push({ id: 'scale.start.peak', value: peakMib, unit: 'MiB', bound: 600 });
}

/** What is in force is kept for a quick start for the first time, all of it; later it is what has changed. */
async function measureFirstKeeping(): Promise<void> {
  const before = await control.usage();
  await control.kept();
  const { cpuMs, grownMib, turnMs } = costOf(before, await control.usage());
  rows.push({ id: 'scale.keep.cpu', value: cpuMs / 1_000, unit: 's', bound: null });
  rows.push({ id: 'scale.keep.turn', value: turnMs, unit: 'ms', bound: 50 });
  rows.push({ id: 'scale.keep.grown', value: grownMib, unit: 'MiB', bound: null });
}

async function makeClients(count: number): Promise<FollowOrder['clients']> {
  const clients: { node: string; token: string }[] = [];
  for (let index = 0; index < count; index++) {
    const range = `172.16.${index >> 4}.${(index & 15) * 16}/28`;
    clients.push({ node: `n${index}`, token: await control.token(`n${index}`, range) });
  }
  return clients;
}

type Synced = Awaited<ReturnType<typeof follow>>;

/** Clients that begin together, until each has everything. */
async function follow(clients: FollowOrder['clients'], knowing: boolean) {
  fleet.forget();
  fleet.tell({ kind: 'follow', knowing, address: control.address, rootsPem: await control.rootsPem(), clients });
  return fleet.reports('synced', clients.length);
}

function bytesOf(synced: Synced): number {
  return Math.max(...synced.map(({ bytes }) => bytes));
}

/** How often each client began, on average. */
function attemptsOf(synced: Synced): number {
  return synced.reduce((sum, { attempts }) => sum + attempts, 0) / synced.length;
}

async function measureSync(id: string, clients: FollowOrder['clients']): Promise<void> {
  const before = await control.usage();
  const beganMs = Date.now();
  const synced = await follow(clients, false);
  const { cpuMs, grownMib, stallMs, turnMs } = costOf(before, await control.usage());
  rows.push({ id: `${id}.cpu`, value: cpuMs / clients.length, unit: 'ms', bound: 60 });
  rows.push({ id: `${id}.cpu-all`, value: cpuMs / 1_000, unit: 's', bound: 30 });
  rows.push({ id: `${id}.attempts`, value: attemptsOf(synced), unit: '×', bound: 1.1 });
  rows.push({ id: `${id}.last`, value: Math.max(...synced.map(({ atMs }) => atMs)) - beganMs, unit: 'ms', bound: null });
  rows.push({ id: `${id}.stall`, value: stallMs, unit: 'ms', bound: 200 });
  rows.push({ id: `${id}.turn`, value: turnMs, unit: 'ms', bound: 200 });
  rows.push({ id: `${id}.grown`, value: grownMib, unit: 'MiB', bound: 94 });
  rows.push({ id: `${id}.message`, value: Math.max(...synced.map(({ largest }) => largest)) / 1_024, unit: 'KiB', bound: 1_024 });
}

/** All clients lose their streams and come back together, having missed one change of a workload and one of a policy. */
async function measureReconnect(clients: FollowOrder['clients']): Promise<void> {
  fleet.tell({ kind: 'leave' });
  await control.withoutClients();
  await editWorkload(mesh, 9_000);
  await editPolicy(mesh, 9_000);
  await sleep(SETTLED_MS);
  const before = await control.usage();
  const beganMs = Date.now();
  const synced = await follow(clients, true);
  const { cpuMs, stallMs, turnMs } = costOf(before, await control.usage());
  rows.push({ id: 'scale.reconnect.cpu', value: cpuMs / 1_000, unit: 's', bound: 30 });
  rows.push({ id: 'scale.reconnect.attempts', value: attemptsOf(synced), unit: '×', bound: 1.1 });
  rows.push({
    id: 'scale.reconnect.last',
    value: Math.max(...synced.map(({ atMs }) => atMs)) - beganMs,
    unit: 'ms',
    bound: null,
  });
  rows.push({ id: 'scale.reconnect.stall', value: stallMs, unit: 'ms', bound: 200 });
  rows.push({ id: 'scale.reconnect.turn', value: turnMs, unit: 'ms', bound: 200 });
  rows.push({ id: 'scale.reconnect.bytes', value: bytesOf(synced) / 1_024, unit: 'KiB', bound: 16 });
}

/** The control plane is killed, and another one takes its place on the same files; its clients come back to it at once. */
async function measureRestart(clients: FollowOrder['clients']): Promise<void> {
  const kept = control.kept();
  await editWorkload(mesh, 9_500);
  await kept;
  fleet.tell({ kind: 'leave' });
  await control.stop();
  const beganMs = Date.now();
  control = new MeasuredControl(dir, PORT);
  await control.ready();
  rows.push({ id: 'scale.restart.ready', value: Date.now() - beganMs, unit: 'ms', bound: 2_000 });
  rows.push({ id: 'scale.restart.ready.cpu', value: (await control.usage()).cpuMs, unit: 'ms', bound: null });
  const synced = await follow(clients, true);
  rows.push({ id: 'scale.restart.last', value: Math.max(...synced.map(({ atMs }) => atMs)) - beganMs, unit: 'ms', bound: null });
  rows.push({ id: 'scale.restart.bytes', value: bytesOf(synced) / 1_024, unit: 'KiB', bound: 16 });
  // Meanwhile all of it is derived again.
  await sleep(IDLE_MS);
  const { stallMs, turnMs, rssMib } = await control.usage();
  rows.push({ id: 'scale.restart.stall', value: stallMs, unit: 'ms', bound: 200 });
  rows.push({ id: 'scale.restart.turn', value: turnMs, unit: 'ms', bound: 200 });
  rows.push({ id: 'scale.restart.rss', value: rssMib, unit: 'MiB', bound: 500 });
}

async function measureIdle(): Promise<void> {
  const before = await control.usage();
  await sleep(IDLE_MS);
  const { cpuMs, stallMs, turnMs } = costOf(before, await control.usage());
  rows.push({ id: 'scale.idle.cpu', value: (100 * cpuMs) / IDLE_MS, unit: '%', bound: 1 });
  rows.push({ id: 'scale.idle.stall', value: stallMs, unit: 'ms', bound: 50 });
  rows.push({ id: 'scale.idle.turn', value: turnMs, unit: 'ms', bound: 50 });
}
