import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { request } from 'node:http';
import { createServer, connect as dial, type Server } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Log } from '#model/effects/log.ts';
import { SILENT_LOG } from '#model/effects/log.ts';
import { Meters } from '#model/telemetry/meters.ts';
import { METRICS } from '#model/telemetry/metrics.ts';
import { SteppedClock } from '#platform/stepped-clock.testing.ts';
import { matchesGolden } from '../../../test/structure/golden.ts';
import { ROOT } from '../../../test/structure/source-files.ts';
import { metricsPage } from './metrics-page.ts';
import { serveMetrics } from './metrics-server.ts';

const PROMTOOL = join(ROOT, 'build/tools/promtool');

/** Meters with something in every kind of metric. */
function someMeters(): Meters {
  const meters = new Meters('agent');
  meters.counter('weft_refusals_total', { reporter: 'source', cause: 'policy' }).add(3);
  meters.counter('weft_dry_run_decisions_total', { policy: 'odd"\\\n/name', decision: 'deny', layer: 'request' }).add();
  const duration = meters.histogram('istio_dns_upstream_request_duration_seconds', {
    request_query_type: 'A',
    request_protocol: 'udp',
  });
  for (const seconds of [0.0002, 0.003, 0.04, 400]) duration.observe(seconds);
  meters.readValue('weft_verdicts', () => 2);
  return meters;
}

test('the page is in the Prometheus text format', async () =>
  matchesGolden(join(import.meta.dirname, 'golden/metrics.txt'), await metricsPage(someMeters().collect(), 'base-units')));

test('B64: labels of where the ends are stand on a page where one is known, and only there', async () => {
  const meters = new Meters('agent');
  const name = 'istio_tcp_connections_opened_total';
  const nowhere = { source_region: '', source_zone: '', destination_region: '', destination_zone: '' };
  meters.counter(name, { source_workload: 'a', ...nowhere }).add();
  meters.counter(name, { source_workload: 'b', ...nowhere, source_zone: 'unknown', source_region: 'r' }).add();
  const lines = (await metricsPage(meters.collect(), 'istio')).split('\n').filter((line) => line.startsWith(name));
  assert.deepEqual(
    lines.map((line) => /_(region|zone)="/.test(line)),
    [false, true],
  );
});

test('promtool finds nothing wrong with a page that has every metric', {
  skip: existsSync(PROMTOOL) ? false : 'no promtool: scripts/setup test brings it',
}, async () => {
  for (const process of ['agent', 'waypoint', 'control'] as const) {
    const meters = new Meters(process);
    for (const [name, { type, of }] of Object.entries(METRICS)) {
      if (!(of as readonly string[]).includes(process)) continue;
      if (type === 'counter') meters.counter(name as 'weft_refusals_total', {}).add();
      else if (type === 'histogram') meters.histogram(name as 'istio_request_duration_milliseconds', {}).observe(1);
      else meters.readValue(name as 'weft_verdicts', () => 1);
    }
    const { status, stdout, stderr } = spawnSync(PROMTOOL, ['check', 'metrics'], {
      input: await metricsPage(meters.collect(), 'base-units'),
      encoding: 'utf8',
    });
    assert.deepEqual([status, stdout + stderr], [0, ''], process);
  }
});

function ask(address: string, path: string, method = 'GET'): Promise<{ status: number; text: string; type: string }> {
  return new Promise((resolve, reject) => {
    const asked = request(`http://${address}${path}`, { method, agent: false }, (answer) => {
      let text = '';
      answer.setEncoding('utf8').on('data', (part: string) => {
        text += part;
      });
      answer.on('end', () => resolve({ status: answer.statusCode ?? 0, text, type: answer.headers['content-type'] ?? '' }));
    });
    asked.on('error', reject).end();
  });
}

test('W80 the page is served under both names, to GET alone', async (t) => {
  const { address, problems, close } = await serveMetrics(someMeters(), { host: '127.0.0.1', port: 0 }, SILENT_LOG);
  t.after(close);
  assert.ok(address !== null && problems.length === 0);
  for (const path of ['/metrics', '/stats/prometheus', '/metrics?x=1']) {
    const { status, text, type } = await ask(address, path);
    assert.deepEqual([status, type], [200, 'text/plain; version=0.0.4; charset=utf-8'], path);
    assert.match(text, /^weft_refusals_total\{reporter="source",cause="policy"\} 3$/m);
  }
  assert.equal((await ask(address, '/')).status, 404);
  assert.equal((await ask(address, '/metrics', 'POST')).status, 405);
  for (const path of ['/quitquitquit', '/drain_listeners'])
    assert.deepEqual([(await ask(address, path)).status, (await ask(address, path, 'POST')).status], [404, 404], path);
});

test("Istio's name in milliseconds is for Istio's path; on the other it is in seconds, as the linter wants", async (t) => {
  const meters = new Meters('waypoint');
  const duration = meters.histogram('istio_request_duration_milliseconds', { reporter: 'waypoint' });
  for (const ms of [3, 40]) duration.observe(ms);
  const { address, close } = await serveMetrics(meters, { host: '127.0.0.1', port: 0 }, SILENT_LOG);
  t.after(close);
  assert.ok(address !== null);
  const seconds = (await ask(address, '/metrics')).text;
  assert.match(seconds, /^istio_request_duration_seconds_bucket\{.*le="0.005"\} 1$/m);
  assert.match(seconds, /^istio_request_duration_seconds_sum\{.*\} 0.043$/m);
  assert.doesNotMatch(seconds, /milliseconds/);
  const istio = (await ask(address, '/stats/prometheus')).text;
  assert.match(istio, /^istio_request_duration_milliseconds_bucket\{.*le="5"\} 1$/m);
  assert.match(istio, /^istio_request_duration_milliseconds_sum\{.*\} 43$/m);
});

test('what is counted elsewhere is fetched ahead of the page; whoever has no time to tell holds it up for a moment only', async (t) => {
  const meters = someMeters();
  const refusals = meters.counter('weft_refusals_total', { reporter: 'source', cause: 'policy' });
  meters.fetchFirst(async () => {
    await new Promise((resolve) => setImmediate(resolve));
    refusals.add();
  });
  const { address, close } = await serveMetrics(meters, { host: '127.0.0.1', port: 0 }, SILENT_LOG);
  t.after(close);
  assert.ok(address !== null);
  assert.match((await ask(address, '/metrics')).text, /cause="policy"\} 4$/m);
  meters.fetchFirst(() => new Promise(() => {}));
  assert.match((await ask(address, '/metrics')).text, /cause="policy"\} 5$/m);
});

test('F11: a taken port is told, once, and tried again until it is free; nobody is told when nobody wanted a page', async (t) => {
  const other: Server = createServer().listen(0, '127.0.0.1');
  await once(other, 'listening');
  t.after(() => other.close());
  const place = other.address();
  assert.ok(place !== null && typeof place === 'object');
  const warnings: string[] = [];
  const log: Log = { ...SILENT_LOG, warn: (_fields, message) => void warnings.push(message) };
  const clock = new SteppedClock();
  const taken = await serveMetrics(new Meters('agent'), { host: '127.0.0.1', port: place.port }, log, { clock });
  assert.equal(taken.address, null);
  assert.match(taken.problems.join(), /EADDRINUSE.*--stats/);
  clock.advance(600);
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.deepEqual([taken.address, warnings.length], [null, 1]);
  await new Promise((resolve) => other.close(resolve));
  for (let tries = 0; taken.address === null && tries < 100; tries++) {
    clock.advance(60_000);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  assert.deepEqual([taken.address, taken.problems], [`127.0.0.1:${place.port}`, []]);
  taken.close();
  assert.deepEqual((await serveMetrics(new Meters('agent'), null, log)).problems, []);
});

test('a host that holds many connections open holds up nobody', async (t) => {
  const meters = new Meters('agent');
  const { address, close } = await serveMetrics(meters, { host: '127.0.0.1', port: 0 }, SILENT_LOG);
  t.after(close);
  const port = Number(address?.split(':')[1]);
  const idle = await Promise.all(
    Array.from({ length: 100 }, async () => {
      const socket = dial(port, '127.0.0.1');
      socket.on('error', () => {});
      t.after(() => socket.destroy());
      await once(socket, 'connect');
      return socket;
    }),
  );
  assert.equal((await ask(address ?? '', '/metrics')).status, 200);
  assert.equal(idle.filter(({ destroyed }) => !destroyed).length <= 32, true);
  const { text } = await ask(address ?? '', '/metrics');
  assert.match(text, /weft_unproved_closed_total\{door="page",closed_for="evicted"\} \d\d/);
});
