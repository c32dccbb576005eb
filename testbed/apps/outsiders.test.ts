import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { cgroup2MountsIn } from '#platform/preflight/facts.ts';
import { logSince } from '#testbed/checks/check.ts';
import { expectKernelPair } from '#testbed/checks/expectations.ts';
import { type App, FAMILIES, insideScript, startApp, startResolver } from '#testbed/lab/app.ts';
import { labPaths } from '#testbed/lab/parts.ts';
import { nodesDown, nodesUp } from '#testbed/nodes/nodes.ts';
import {
  ALPHA_FROM_OUTSIDE,
  nodeOf,
  OUTSIDE_4,
  OUTSIDE_6,
  OUTSIDE_ECHO_PORT,
  OUTSIDE_NAME,
  planLab,
} from '#testbed/nodes/plan.ts';
import { type Spawn, startChild } from '#testbed/processes/child.ts';
import { command } from '#testbed/processes/command.ts';
import { inNetns } from '#testbed/processes/command-lines.ts';
import { LAB_VARIABLE, processesOf } from '#testbed/processes/process-table.ts';
import { waitUntil } from '#testbed/processes/wait.ts';
import { NEIGHBOUR_PORT, type Outsiders, startOutsiders } from './outsiders.ts';
import { createProbe, type Probe } from './probe-client.ts';
import type { Dial } from './probe-protocol.ts';
import { vip } from './shop.ts';

const [cgroup2 = null] = cgroup2MountsIn(await readFile('/proc/mounts', 'utf8'));
const skip = process.getuid?.() !== 0 ? 'needs root' : cgroup2 === null ? 'needs cgroup v2' : false;

const BULK_BYTES = 4 * 1024 * 1024;
/** Stands between a client and the outside echo service, as a proxy would. */
const RELAY = `
  const net = require('node:net');
  net.createServer((down) => { const up = net.connect(${OUTSIDE_ECHO_PORT}, '${OUTSIDE_4}'); down.pipe(up).pipe(down); })
    .listen(7002, () => console.log(JSON.stringify({ event: 'listening', pid: process.pid })));`;

const dir = await mkdtemp(join(tmpdir(), 'weft-outsiders-'));
const plan = planLab(randomBytes(3).toString('hex'), dir, cgroup2 ?? '');
const spawn: Spawn = (options) => startChild(options, { [LAB_VARIABLE]: plan.id });
let outsiders: Outsiders;
let resolver: App;
const probes = new Map<App, Probe>();
const probeOf = (app: App): Probe => {
  const probe = probes.get(app) ?? createProbe(app.child, app.pid);
  probes.set(app, probe);
  return probe;
};

before(async () => {
  if (skip !== false) return;
  await nodesUp(plan);
  await mkdir(labPaths(plan).pidDir);
  [outsiders, resolver] = await Promise.all([startOutsiders(plan, spawn), startResolver(plan, spawn)]);
});
after(async () => {
  await nodesDown(plan, false);
  await rm(dir, { recursive: true });
  assert.deepEqual(await processesOf(plan.id), []);
});

/** The kernel's view of one call in which every byte goes there and back. */
async function callShowsPair(client: App, server: App, dial: Dial, serverDial = dial): Promise<void> {
  const call = await probeOf(client).connect(dial, { bulkBytes: BULK_BYTES, hold: true });
  assert.equal(call.error, null);
  try {
    const { host: ip, port } = call.local ?? { host: '', port: 0 };
    await expectKernelPair({ app: client, ip, port }, { app: server, ip: serverDial.host, port: serverDial.port }, BULK_BYTES);
  } finally {
    await call.close();
  }
}

for (const family of FAMILIES) {
  test(`the kernel shows one connection from app to app, to and from a node, over IPv${family}`, { skip }, async () => {
    const { bystander, echo, outside, neighbour } = outsiders;
    await callShowsPair(bystander, echo, { host: family === 4 ? OUTSIDE_4 : OUTSIDE_6, port: OUTSIDE_ECHO_PORT });
    await callShowsPair(outside, neighbour, { host: ALPHA_FROM_OUTSIDE[family], port: NEIGHBOUR_PORT });
  });
}

test('a relay between two apps is noticed in the kernel', { skip }, async () => {
  const relay = await startApp(plan, 'relay', inNetns(nodeOf(plan, 'alpha').netns, [process.execPath, '-e', RELAY]), spawn);
  const outsideDial = { host: OUTSIDE_4, port: OUTSIDE_ECHO_PORT };
  const relayed = callShowsPair(outsiders.bystander, outsiders.echo, { host: '127.0.0.1', port: 7002 }, outsideDial);
  await assert.rejects(relayed, /the kernel's peer of bystander is \[127.0.0.1\]:7002, not outside-echo/);
  await relay.child.stop();
});

test('a refused and an unreachable connection are told apart by errno', { skip }, async () => {
  const refused = await probeOf(outsiders.bystander).connect({ host: OUTSIDE_4, port: 9 });
  assert.deepEqual([refused.stage, refused.error], ['connect', 'ECONNREFUSED']);
  for (const family of FAMILIES) {
    const unreachable = await probeOf(outsiders.bystander).connect(vip('echo-near', family));
    assert.deepEqual([unreachable.stage, unreachable.error], ['connect', 'ENETUNREACH']);
  }
});

test('a stream tells when and how it was closed', { skip }, async () => {
  const server = await startApp(plan, 'short-lived', inNetns(nodeOf(plan, 'alpha').netns, outsidersEcho(7003)), spawn);
  const stream = await probeOf(outsiders.outside).stream({ host: ALPHA_FROM_OUTSIDE[4], port: 7003 });
  assert.ok(typeof stream !== 'string');
  await waitUntil('first echo', 5_000, async () => (await stream.state()).ticksEchoed > 0);
  const atMs = Date.now();
  await server.child.stop();
  const { how, closedAtMs } = await waitUntil('end of the stream', 5_000, async () => {
    const state = await stream.state();
    return state.open ? null : state;
  });
  assert.match(how ?? '', /CLOSED|ECONNRESET/);
  assert.ok((closedAtMs ?? 0) >= atMs);
});

function outsidersEcho(port: number): string[] {
  return [process.execPath, join(import.meta.dirname, '../../examples/bookshop/echo.ts'), 'short-lived', String(port)];
}

test('the resolver outside answers over UDP and tells what it was asked', { skip }, async () => {
  const ask = `new (require('dns').promises.Resolver)();
    const r = new (require('dns').promises.Resolver)(); r.setServers(['${OUTSIDE_4}']);
    Promise.all([r.resolve4('${OUTSIDE_NAME}'), r.resolve6('${OUTSIDE_NAME}'), r.resolve4('no.example').catch((e) => e.code)])
      .then((all) => console.log(all.join(' ')));`;
  const said = await command(inNetns(nodeOf(plan, 'beta').netns, [process.execPath, '-e', ask]));
  assert.equal(said, `${OUTSIDE_4} ${OUTSIDE_6} ENOTFOUND\n`);
  assert.match(await logSince(resolver.child.logPath, 0), /"transport":"udp","name":"no.example","type":"A"/);
});

test('the script for visitors runs a command where an app runs', { skip }, async () => {
  const path = join(plan.runDir, 'inside');
  await writeFile(path, insideScript(plan), { mode: 0o700 });
  assert.match(await command([path, 'neighbour', 'cat', '/proc/self/cgroup']), /\/alpha\/bystander$/m);
  assert.match(await command([path, 'outside', 'ip', 'address', 'show', 'dev', 'lo']), new RegExp(OUTSIDE_4));
  await assert.rejects(command([path, 'nobody', 'true']), /NAME is one of: bystander neighbour outside/);
});
