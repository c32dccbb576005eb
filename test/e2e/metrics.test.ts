import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { HELLO_MESH } from './hello-waypoint.testing.ts';
import { type Program, Programs, ROOT, WEFT } from './programs.testing.ts';

const PROMTOOL = join(ROOT, 'build/tools/promtool');
const MISSING = existsSync(PROMTOOL) ? false : 'no promtool: scripts/setup test brings it';

const COLLECTOR_SERVICE = `---
apiVersion: v1
kind: Service
metadata: { name: collector, namespace: default }
spec:
  selector: { app: collector }
  ports: [{ name: http, port: 4318 }]
`;
/** Prints of each span that it is sent a line: its name, whose it is, and the parent that it has. */
const COLLECTOR = `require('node:http').createServer((request, answer) => {
  let body = '';
  request.on('data', (data) => (body += data)).on('end', () => {
    const [{ resource, scopeSpans }] = JSON.parse(body).resourceSpans;
    for (const span of scopeSpans[0].spans)
      console.log('span', request.url, span.name, span.traceId, span.parentSpanId, resource.attributes[0].value.stringValue, JSON.stringify(span.attributes));
    answer.end('{}');
  });
}).listen(4318, () => console.log('listening'))`;
const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';
const SPAN = '00f067aa0ba902b7';
const OTHER_SPAN = 'a0f067aa0ba902b7';
const curlTraced = (path: string, parent: string) =>
  `curl -sS -m 5 -H 'traceparent: 00-${TRACE}-${parent}-01' http://hello${path}`;
const TELEMETRY = `apiVersion: telemetry.istio.io/v1
kind: Telemetry
metadata: { name: all, namespace: default }
spec:
  accessLogging: [{ filter: { expression: "request.url_path != '/unlogged'" } }]
  tracing: [{ randomSamplingPercentage: 100, customTags: { team: { header: { name: x-team, defaultValue: none } } } }]
  metrics: [{ overrides: [{ match: { metric: REQUEST_COUNT }, tagOverrides: { page: { value: request.url_path }, source_principal: { operation: REMOVE } } }] }]
`;
const SERVER =
  "require('node:http').createServer((_, answer) => answer.end('hello')).listen(8080, () => console.log('listening'))";
const CLIENT = 'for i in $(seq 100); do curl -sS -m 5 http://hello/ && exit 0; sleep 0.2; done; exit 1';

/** As Prometheus' linter sees it. */
function checkPage(input: string): void {
  const { status, stdout, stderr } = spawnSync(PROMTOOL, ['check', 'metrics'], { input, encoding: 'utf8' });
  assert.deepEqual([status, stdout + stderr], [0, '']);
}

/** A real agent and a real waypoint, scraped as Prometheus does it. */
describe('the metrics pages of an agent and of a waypoint', () => {
  const dir = mkdtempSync(join(tmpdir(), 'weft-metrics-'));
  const mesh = join(dir, 'mesh');
  const runDir = join(dir, 'run');
  const node = `metrics-${randomBytes(3).toString('hex')}`;
  const programs = new Programs();
  let up: Program;
  let collector: Program;

  const weft = (...args: string[]): Program => programs.start([WEFT, ...args]);
  const run = (name: string, ...command: string[]): Program =>
    weft(
      'run',
      ...['--user', 'root'],
      '--name',
      name,
      '--service-account',
      name,
      '--label',
      `app=${name}`,
      '--agent-socket',
      join(runDir, node, 'agent.sock'),
      '--',
      ...command,
    );

  /** The page as the process with this id, in its own network namespace, serves it. */
  const scrape = (pid: number, path = '/metrics'): string => {
    const asked = ['-t', String(pid), '-n', 'curl', '-sSf', '-m', '5', `http://127.0.0.1:15020${path}`];
    const { status, stdout, stderr } = spawnSync('nsenter', asked, { encoding: 'utf8' });
    assert.equal(status, 0, stderr);
    return stdout;
  };
  const agentPid = (): number => up.child.pid ?? 0; // `unshare` becomes `weft up`, in whose namespace the agent is
  const waypointPid = (): number => {
    const kept = readdirSync(join(runDir, 'waypoints')).find((name) => name.endsWith('.json'));
    assert.ok(kept, 'no waypoint runs');
    return (JSON.parse(readFileSync(join(runDir, 'waypoints', kept), 'utf8')) as { pid: number }).pid;
  };

  before(async () => {
    mkdirSync(mesh);
    writeFileSync(join(mesh, 'mesh.yaml'), HELLO_MESH + COLLECTOR_SERVICE);
    const options = ['--node', node, '--run-dir', runDir, '--state-dir', join(dir, 'state')];
    const exporting = 'OTEL_EXPORTER_OTLP_ENDPOINT=http://collector.default:4318';
    const inOwnNetns = ['unshare', '--net', 'sh', '-c', 'ip link set lo up && exec "$@"', 'sh'];
    up = programs.start([...inOwnNetns, 'env', exporting, WEFT, 'up', mesh, ...options]);
    await up.until(/The mesh is up/);
    await run('hello', process.execPath, '-e', SERVER).until(/listening/);
    const client = run('client', 'sh', '-c', CLIENT);
    assert.equal(await client.ended, 0, client.output());
    collector = run('collector', process.execPath, '-e', COLLECTOR);
    await collector.until(/listening/);
  });
  after(async () => {
    await programs.endAll('SIGINT');
    rmSync(dir, { recursive: true, force: true });
  });

  test('the waypoint has served with the one capability by which it reads the maps of its node', () => {
    const status = readFileSync(`/proc/${waypointPid()}/status`, 'utf8');
    for (const set of ['CapPrm', 'CapEff', 'CapBnd']) assert.match(status, new RegExp(`^${set}:\\t0000008000000000$`, 'm')); // BPF
    assert.match(status, /^NoNewPrivs:\t1$/m);
  });

  test('the waypoint sees of the control plane’s directories its own alone', () => {
    const seen = (path: string): string[] => readdirSync(`/proc/${waypointPid()}/root${path}`);
    assert.deepEqual(seen(join(dir, 'state')), []);
    assert.deepEqual(seen(runDir), ['waypoints']);
    assert.ok(seen(join(runDir, 'waypoints')).includes('discovery.sock'));
    assert.ok(existsSync(join(dir, 'state', 'root-cert.pem')) && existsSync(join(runDir, 'control.sock')));
  });

  for (const [name, pid] of [
    ['agent', agentPid],
    ['waypoint', waypointPid],
  ] as const) {
    test(`promtool finds nothing wrong with the page of the ${name}`, { skip: MISSING }, () => {
      checkPage(scrape(pid()));
    });
  }

  test('the agent tells what it holds and what the kernel did', () => {
    const page = scrape(agentPid());
    assert.match(page, /^weft_enrolled_workloads\{enrollment="known"\} [1-9]/m);
    assert.match(page, /^weft_control_plane_connected 1$/m);
    assert.match(page, /^weft_kernel_connections_total\{path="waypoint"\} [1-9]/m);
    assert.match(page, /^istio_dns_requests_total\{request_query_type="A",/m);
    assert.match(page, /^istio_build\{component="ztunnel",tag="[^"]+"\} 1$/m);
  });

  test("the waypoint tells of the request, under Istio's name where Istio's dashboards ask", () => {
    assert.match(
      scrape(waypointPid()),
      /^istio_requests_total\{reporter="waypoint",.*destination_service="hello\.default\..*response_code="200",.*\} [1-9]/m,
    );
    assert.match(scrape(waypointPid(), '/stats/prometheus'), /^istio_request_duration_milliseconds_count\{.*\} [1-9]/m);
    assert.match(scrape(waypointPid()), /^istio_request_duration_seconds_count\{.*\} [1-9]/m);
    assert.match(scrape(waypointPid()), /^istio_request_bytes_count\{reporter="waypoint",.*\} [1-9]/m);
    assert.match(scrape(waypointPid()), /^istio_response_bytes_sum\{.*response_code="200",.*\} [1-9]\d\d/m);
  });

  test('W71: the span of a traced request arrives at the collector, itself a workload of the mesh', async () => {
    const client = run('tracing', 'sh', '-c', curlTraced('/', SPAN));
    assert.equal(await client.ended, 0, client.output());
    await collector.until(new RegExp(`span /v1/traces hello.default.svc.cluster.local:80/\\* ${TRACE} ${SPAN} waypoint.default`));
  });

  test('config-api 5.1: a Telemetry that is written while the mesh runs is what traces, log and metrics go by', async () => {
    const log = join(dir, 'state', 'logs', 'waypoint-default.waypoint.log');
    const linesOf = (path: string) => readFileSync(log, 'utf8').match(new RegExp(` path="?${path}"? .*`, 'g')) ?? [];
    assert.ok(linesOf('/').length > 0);
    writeFileSync(join(mesh, 'telemetry.yaml'), TELEMETRY);
    // Nobody has decided about these: of one in a hundred there would be a span.
    const client = run('untraced', 'sh', '-c', 'while curl -sS -o /dev/null -m 5 http://hello/; do sleep 0.05; done');
    await collector.until(new RegExp(`span /v1/traces hello.* (?!${TRACE})[0-9a-f]{32} (?!${SPAN}).*waypoint.default`));
    const traced = run('unlogged', 'sh', '-c', curlTraced('/unlogged', OTHER_SPAN));
    assert.equal(await traced.ended, 0, traced.output());
    await collector.until(new RegExp(`${TRACE} ${OTHER_SPAN} waypoint.default`));
    assert.deepEqual(linesOf('/unlogged'), []);
    await collector.until(/"team","value":\{"stringValue":"none"\}/);
    const page = scrape(waypointPid());
    assert.match(page, /^istio_requests_total\{.*source_principal="",.*page="\/unlogged"\} 1$/m);
    assert.doesNotMatch(page, /^istio_request_duration.*page=/m);
    if (MISSING === false) checkPage(page);
    client.child.kill('SIGINT');
    await client.ended;
  });

  test('weft status shows where the page of the agent is', async () => {
    const status = weft('status', '--run-dir', runDir);
    assert.equal(await status.ended, 0, status.output());
    assert.match(status.output(), /METRICS[\s\S]* 127\.0\.0\.1:15020/);
  });
});
