import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { HTTP2 } from '#model/settings/http.ts';
import type { Probe } from '#testbed/apps/probe-client.ts';
import type { App } from '#testbed/lab/app.ts';
import { waitUntil } from '#testbed/processes/wait.ts';
import { crowdIn, metricOf } from './crowd.testing.ts';
import { ask, attackProgram } from './dialling.testing.ts';
import { AttackedMesh, serviceYaml } from './mesh.testing.ts';
import { boundServiceYaml, GATEWAY_YAML, waypointLives, waypointLog } from './waypoint.testing.ts';

const SETTLE_MS = 10_000;
const [CALLED, ECHO] = ['10.96.21.1', '10.96.21.2'];
const ROUNDS = 5;
const RESETS = 4_000;
const GIVE_UP_MS = 10_000;

/** A server of HTTP/2 that answers `/` and leaves everything else waiting. */
const WAITING_PROGRAM = [
  process.execPath,
  '-e',
  `require('node:http2').createServer()
    .on('stream', (stream, headers) => {
      stream.on('error', () => {});
      if (headers[':path'] === '/') stream.respond({ ':status': 200 }, { endStream: true });
    })
    .listen(7000, '::', () => console.log(JSON.stringify({ event: 'listening', pid: process.pid })))`,
];

/** Calls and connections that friends give up, on a connection that they share. */
describe('shared connections', () => {
  let mesh: AttackedMesh;
  let innocent: Probe;
  let channels: App[];
  before(async () => {
    mesh = await AttackedMesh.up({
      'waypoint.yaml': GATEWAY_YAML,
      'called.yaml': boundServiceYaml('called', CALLED, 'called', 'grpc', 7000),
      'server.yaml': serviceYaml('server', ECHO),
    });
    [innocent] = await Promise.all([
      mesh.probe('innocent', 'alpha'),
      mesh.probe('hasty', 'alpha'),
      mesh.echo('server', 'beta'),
      mesh.start({ name: 'called', node: 'beta', command: WAITING_PROGRAM }),
    ]);
    await mesh.lab.waypointsReady();
    const start = (name: string): Promise<App> =>
      mesh.start({ name, node: 'alpha', command: attackProgram('channel', `http://${CALLED}`) });
    channels = [await start('patient'), await start('storming')];
  });
  after(() => mesh?.down());

  const tell = async (app: App | undefined, line: string): Promise<string> => {
    assert.ok(app !== undefined);
    return (await ask<{ channel: string }>(app.child, line, 'channel')).channel;
  };

  test('S21: hundreds of withdrawn calls over the life of a channel, good ones between them: it stays', async () => {
    const [patient] = channels;
    const perRound = HTTP2.prematureResetsMax - 50;
    for (let round = 0; round < ROUNDS; round++) {
      assert.equal(await tell(patient, `withdraw ${perRound}`), 'withdrawn');
      assert.equal(await tell(patient, 'ask'), '200');
      await sleep(HTTP2.prematureWithinMs + 50);
    }
    assert.equal(await tell(patient, 'ask'), '200');
    await waypointLives(mesh);
  });

  test('S21: more of them at once end the one channel, GOAWAY and the log say why; another goes on', async () => {
    const [patient, storming] = channels;
    // Those that are withdrawn before the waypoint has begun them are no work of its, and do not count.
    const told = await waitUntil('the end', SETTLE_MS, async () => {
      const outcome = await tell(storming, `withdraw ${HTTP2.prematureResetsMax + 100}`);
      return outcome !== 'withdrawn' && outcome;
    });
    assert.match(told, /^GOAWAY 11 .*requests withdrawn within/);
    await waitUntil('its line', SETTLE_MS, async () => (await waypointLog(mesh)).includes('http2.too_many_resets'));
    assert.equal(await tell(patient, 'ask'), '200');
    await waypointLives(mesh);
  });

  test('S21: 4,000 connections that apps reset within seconds: an innocent on the same tunnel connection goes on', async () => {
    const stream = await innocent.stream({ host: ECHO, port: 7 });
    assert.ok(typeof stream !== 'string', String(stream));
    const before = await metricOf(mesh, 'alpha', 'weft_mishaps_total');
    const crowds = [await crowdIn(mesh, 'hasty'), await crowdIn(mesh, 'innocent')];
    let opened = 0;
    const startMs = performance.now();
    while (opened < RESETS && performance.now() - startMs < GIVE_UP_MS)
      for (const outcomes of await Promise.all(crowds.map((crowd) => crowd.loop(500, ECHO, 7)))) opened += outcomes.open ?? 0;
    const { open, how, ticksEchoed } = await stream.state();
    assert.deepEqual([open, how], [true, null]);
    await waitUntil('ticks', SETTLE_MS, async () => (await stream.state()).ticksEchoed > ticksEchoed + 5);
    assert.equal((await innocent.connect({ host: ECHO, port: 7 })).error, null);
    for (const node of ['alpha', 'beta'] as const) assert.ok(!(await mesh.log(node)).includes('its peer broke the rules'), node);
    assert.equal(await metricOf(mesh, 'alpha', 'weft_mishaps_total'), before);
    assert.ok(opened >= RESETS, `${opened} were opened: no attack`);
    await stream.close();
  });
});
