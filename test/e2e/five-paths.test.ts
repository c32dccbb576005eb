import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { startApp } from '#testbed/lab/app.ts';
import { OUTSIDE_4 } from '#testbed/nodes/plan.ts';
import { asHost, inNetns } from '#testbed/processes/command-lines.ts';
import { waitUntil } from '#testbed/processes/wait.ts';
import { ask } from '../security/dialling.testing.ts';
import { AttackedMesh, policyYaml, serviceYaml } from '../security/mesh.testing.ts';
import { GATEWAY_YAML } from '../security/waypoint.testing.ts';

const ROUNDS = 30;
const [TRAFFIC_MS, COUNTED_MS] = [90_000, 20_000];
const OTHER_SERVICES = 1_000;
/** What a page of this mesh may have at most: two ends of five paths, each with its flags, and not one series for a service that nobody calls. */
const SERIES_MAX = 40;
const VIPS = { direct: '10.96.120.1', hbone: '10.96.120.2', waypoint: '10.96.120.3', denied: '10.96.120.4' } as const;
const PATHS = ['direct', 'hbone', 'waypoint', 'passthrough', 'denied'] as const;
type Path = (typeof PATHS)[number];

type Counted = { opened: number; failed: number; up: number; down: number };
type Labels = Readonly<Record<string, string>>;

const ECHO = [process.execPath, join(import.meta.dirname, '../faults/apps/listener.ts'), '::', 'echo'];
const client = [
  process.execPath,
  join(import.meta.dirname, 'apps/counted-client.ts'),
  ...Object.entries(VIPS).map(([path, vip]) => `${path}=${vip}/7`),
  `passthrough=${OUTSIDE_4}/7000`,
];

/** What tells the series of a path apart on the page of the client's agent. */
const OF: Readonly<Record<Path, Labels>> = {
  direct: { destination_service_name: 'direct-echo' },
  hbone: { destination_service_name: 'hbone-echo' },
  waypoint: { destination_service_name: 'waypoint-echo' },
  passthrough: { destination_service: 'unknown' },
  denied: { destination_service_name: 'denied-echo' },
};
const FIELDS = {
  istio_tcp_connections_opened_total: 'opened',
  istio_tcp_connections_closed_total: 'closed',
  istio_tcp_connections_failed_total: 'failed',
  istio_tcp_received_bytes_total: 'up',
  istio_tcp_sent_bytes_total: 'down',
} as const;

/** The series of a page that are of connections. */
function seriesOf(page: string): { name: keyof typeof FIELDS; labels: Labels; value: number }[] {
  return page.split('\n').flatMap((line) => {
    const [, name = '', text = '', value = ''] = /^(istio_tcp_\w+)\{(.*)\} (\d+)$/.exec(line) ?? [];
    if (!(name in FIELDS)) return [];
    const labels = Object.fromEntries([...text.matchAll(/(\w+)="([^"]*)"/g)].map(([, label = '', said = '']) => [label, said]));
    return [{ name: name as keyof typeof FIELDS, labels, value: Number(value) }];
  });
}

function sumsOf(page: string, wanted: Labels): Counted & { closed: number } {
  const sums = { opened: 0, closed: 0, failed: 0, up: 0, down: 0 };
  for (const { name, labels, value } of seriesOf(page))
    if (Object.entries(wanted).every(([label, said]) => labels[label] === said)) sums[FIELDS[name]] += value;
  return sums;
}

/** All that a connection can be on its way, at once, on the page as Prometheus gets it. */
describe('the metrics of five paths', () => {
  let mesh: AttackedMesh;
  let counted: Readonly<Record<Path, Counted>>;
  const pages: string[] = [];

  const curl = async (): Promise<string> => {
    const { stdout, stderr } = await mesh.onNode('alpha', ['curl', '-sSf', '-m', '5', 'http://127.0.0.1:15020/metrics']);
    assert.notEqual(stdout, '', stderr);
    return stdout;
  };

  before(async () => {
    const others = Array.from({ length: OTHER_SERVICES }, (_, at) => serviceYaml(`other-${at}`, `10.97.${at >> 8}.${at & 255}`));
    const services = Object.entries(VIPS).map(([path, vip]) => serviceYaml(`${path}-echo`, vip));
    const bound = (yaml: string): string =>
      yaml.replace('name: waypoint-echo,', 'name: waypoint-echo, labels: { istio.io/use-waypoint: waypoint },');
    mesh = await AttackedMesh.up({
      'services.yaml': [...services.map(bound), ...others, GATEWAY_YAML].join('---\n'),
      'deny.yaml': policyYaml('denied', 'denied-echo', 'DENY', ['client']),
    });
    const servers = { direct: 'alpha', hbone: 'beta', waypoint: 'alpha', denied: 'alpha' } as const;
    for (const [name, node] of Object.entries(servers)) await mesh.start({ name: `${name}-echo`, node, command: ECHO });
    await startApp(mesh.plan, 'outside-teller', asHost(mesh.plan, inNetns(mesh.plan.outsideNetns, ECHO)), mesh.lab.spawn);
    await mesh.lab.waypointsReady();
    const app = await mesh.start({ name: 'client', node: 'alpha', command: client });
    let isOver = false;
    const over = ask<{ counted: Record<Path, Counted> }>(app.child, String(ROUNDS), 'counted', TRAFFIC_MS).finally(() => {
      isOver = true;
    });
    while (!isOver) pages.push(await curl());
    counted = (await over).counted;
  });
  after(() => mesh?.down());

  for (const path of PATHS)
    test(`B64: ${path}: the page says exactly what the client counted`, async () => {
      const { opened, failed, up, down } = counted[path];
      const labels = { reporter: 'source', source_workload: 'client', ...OF[path] };
      assert.deepEqual([opened, failed, up === down], path === 'denied' ? [0, ROUNDS, true] : [ROUNDS, 0, true]);
      const page = await waitUntil('end of all connections', COUNTED_MS, async () => {
        const text = await curl();
        const sums = sumsOf(text, labels);
        return sums.closed + sums.failed >= ROUNDS && text;
      });
      assert.deepEqual(sumsOf(page, labels), { opened, closed: opened, failed, up, down });
    });

  test('B64: what a page said while traffic ran is never more than what the next one says', () => {
    assert.ok(pages.length > 1, 'the page was read once only');
    const keyOf = (one: ReturnType<typeof seriesOf>[number]): string => JSON.stringify([one.name, one.labels]);
    const seen = new Map<string, number>();
    for (const page of pages)
      for (const one of seriesOf(page)) {
        assert.ok(one.value >= (seen.get(keyOf(one)) ?? 0), keyOf(one));
        seen.set(keyOf(one), one.value);
      }
  });

  test(`B64: ${OTHER_SERVICES} services that nobody calls have no series`, async (t) => {
    const series = seriesOf(await curl());
    t.diagnostic(`${series.length} series of connections`);
    assert.ok(series.length > 0 && series.length <= SERIES_MAX, String(series.length));
    assert.deepEqual(
      series.filter(({ labels }) => labels.destination_service_name?.startsWith('other-')),
      [],
    );
  });
});
