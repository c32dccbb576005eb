import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { PORT } from '#model/mesh/ports.ts';
import type { Probe } from '#testbed/apps/probe-client.ts';
import { startApp } from '#testbed/lab/app.ts';
import { asHost, inNetnsOf } from '#testbed/processes/command-lines.ts';
import { waitUntil } from '#testbed/processes/wait.ts';
import { AttackedMesh, serviceYaml } from '../security/mesh.testing.ts';

const VIP = '10.96.111.1';
const SETTLE_MS = 15_000;
const OCCUPANT = `require('net').createServer().listen(${PORT.outbound}, '::', () =>
  console.log(JSON.stringify({ event: 'listening', pid: process.pid })))`;

describe('an enrolment that fails once', () => {
  let mesh: AttackedMesh;
  let client: Probe;
  before(async () => {
    mesh = await AttackedMesh.up({ 'server.yaml': serviceYaml('server', VIP) });
    [client] = await Promise.all([mesh.probe('client', 'alpha'), mesh.echo('server', 'beta')]);
  });
  after(() => mesh?.down());

  const shown = async () => (await mesh.status('alpha')).enrolled.find(({ name }) => name === 'client');

  test("F11: a port of the agent's that is taken while it restarts: the workload is shown, stopped, and served when the port is free", async () => {
    assert.equal((await client.connect({ host: VIP, port: 7 })).error, null);
    const agent = mesh.lab.agent('alpha');
    agent.signal('SIGKILL');
    await agent.stop();
    const line = asHost(mesh.plan, inNetnsOf(mesh.app('client').pid, [process.execPath, '--eval', OCCUPANT]));
    const occupant = await startApp(mesh.plan, 'occupant', line, mesh.lab.spawn);
    await mesh.lab.startAgent('alpha');
    const held = await shown();
    assert.equal(held?.ready, false);
    assert.match(String(held?.problem), /cannot be enrolled.*EADDRINUSE/);
    process.kill(occupant.pid, 'SIGKILL');
    await waitUntil('its enrolment', SETTLE_MS, async () => (await shown())?.ready === true);
    assert.equal((await client.connect({ host: VIP, port: 7 })).error, null);
    assert.match(await mesh.log('alpha'), /cannot enroll a workload again.*retry_in_ms/);
  });
});
