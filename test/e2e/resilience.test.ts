import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { App } from '#testbed/lab/app.ts';
import { waitUntil } from '#testbed/processes/wait.ts';
import { ask } from '../security/dialling.testing.ts';
import { AttackedMesh } from '../security/mesh.testing.ts';
import { GATEWAY_YAML, waypointLives, waypointLog } from '../security/waypoint.testing.ts';

/** Several services over the same endpoints, so that each is treated in its own way. */
const VIPS = { limited: '10.96.150.1', ejecting: '10.96.150.2', budgeted: '10.96.150.3', plain: '10.96.150.4' } as const;
type Name = keyof typeof VIPS;
const THREADS = 2;
const BURST = 12;
const REQUESTS_MAX = 4;
const END_MS = 15_000;
const PHASE_MS = 1_500;
const FAILING_MS = Number(process.env.WEFT_STORM_MS ?? 4_000);
const UPSTREAMS = ['one', 'two', 'three'] as const;

const serviceYaml = (name: Name): string => `apiVersion: v1
kind: Service
metadata: { name: ${name}, namespace: attacks, labels: { istio.io/use-waypoint: waypoint } }
spec:
  clusterIP: ${VIPS[name]}
  selector: { app: upstream }
  ports: [{ name: http, port: 80, targetPort: 7000, appProtocol: http }]
`;
const ruleYaml = (name: Name, policy: string): string => `apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: ${name}, namespace: attacks }
spec: { host: ${name}, trafficPolicy: { ${policy} } }
`;
const ROUTE = `apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: again, namespace: attacks }
spec:
  parentRefs: [{ group: '', kind: Service, name: budgeted }]
  rules: [{ retry: { codes: [503], attempts: 3, backoff: 1ms }, backendRefs: [{ name: budgeted, port: 80 }] }]
`;
const BUDGET = `apiVersion: weft.dev/v1alpha1
kind: TrafficPolicy
metadata: { name: budget, namespace: attacks }
spec:
  targetRefs: [{ group: '', kind: Service, name: budgeted }]
  retryBudget: { percent: 15, interval: 1s, minRetryRate: { count: 1, interval: 10s } }
`;
const DETECTION = 'outlierDetection: { consecutive5xxErrors: 3, interval: 500ms, baseEjectionTime: 2s, maxEjectionPercent: 50 }';

type Counts = Record<string, number>;
type Report = { heard: number; done: number; twice: string[] };

/** Real clients and servers on both sides of a waypoint that serves in two threads. */
describe('resilience at a waypoint', () => {
  let mesh: AttackedMesh;
  let client: App;
  const upstreams = new Map<string, App>();

  const tell = async <Told>(app: App, what: string): Promise<Told> =>
    (await ask<Record<string, Told>>(app.child, what, what))[what] as Told;
  const tellAll = (what: string): Promise<unknown> => Promise.all([...upstreams.values()].map((app) => tell(app, what)));
  const upstream = (name: string): App => {
    const app = upstreams.get(name);
    assert.ok(app !== undefined);
    return app;
  };
  const reports = (): Promise<Report[]> => Promise.all([...upstreams.values()].map((app) => tell<Report>(app, 'report')));
  const heard = async (): Promise<number> => (await reports()).reduce((sum, report) => sum + report.heard, 0);
  const each = (name: Name): Promise<Counts> => tell(client, `each ${VIPS[name]}`);

  before(async () => {
    process.env.WEFT_LAB_THREADS = String(THREADS);
    mesh = await AttackedMesh.up({
      'gateway.yaml': GATEWAY_YAML,
      'services.yaml': (Object.keys(VIPS) as Name[]).map(serviceYaml).join('---\n'),
      'limited.yaml': ruleYaml('limited', `connectionPool: { http: { http2MaxRequests: ${REQUESTS_MAX} } }`),
      'ejecting.yaml': ruleYaml('ejecting', DETECTION),
      'budgeted.yaml': `${ROUTE}---\n${BUDGET}`,
    });
    const program = (name: string, ...args: string[]) => [
      process.execPath,
      join(import.meta.dirname, 'apps', `${name}.ts`),
      ...args,
    ];
    for (const [at, name] of UPSTREAMS.entries()) {
      const node = at === 0 ? 'alpha' : 'beta';
      upstreams.set(name, await mesh.start({ name, node, labels: { app: 'upstream' }, command: program('upstream', name) }));
    }
    client = await mesh.start({ name: 'client', node: 'alpha', command: program('load') });
    await mesh.lab.waypointsReady();
    for (const name of Object.keys(VIPS) as Name[])
      await waitUntil(`answers of ${name}`, END_MS, async () =>
        Object.keys(await each(name)).every((end) => end.startsWith('200 ')),
      );
  });
  after(async () => {
    process.env.WEFT_LAB_THREADS = '';
    await mesh?.down();
  });

  test('W54 a service gets as many requests at a time as its rule says, the rest is 503 with x-envoy-overloaded', async () => {
    await tellAll('hold');
    await reports();
    const burst = tell<Counts>(client, `burst ${VIPS.limited}`);
    let arrived = 0;
    await waitUntil('requests that are held', END_MS, async () => {
      arrived += await heard();
      const refused = (await waypointLog(mesh)).split('\n').filter((line) => /\brequest\b.*\bUO\b/.test(line)).length;
      return arrived + refused === BURST;
    });
    await tellAll('release');
    const ends = await burst;
    // Each thread has its share, and the connections of one client are not spread evenly.
    assert.ok(arrived <= REQUESTS_MAX && arrived >= REQUESTS_MAX / THREADS, `${arrived} requests at a time`);
    assert.deepEqual(ends, { '200 -': arrived, '503 true': BURST - arrived });
    // Closed again.
    assert.deepEqual(
      Object.keys(await each('limited')).map((end) => end.slice(0, 3)),
      ['200', '200', '200'],
    );
  });

  test('W55 an endpoint that fails is left out, others are not, and it comes back', async () => {
    await tell(upstream('two'), 'fail');
    await waitUntil('the ejection of two', END_MS, async () => {
      const ends = Object.keys(await each('ejecting')).sort();
      return ends.join() === '200 one,200 three';
    });
    // What is not asked to leave it out does not.
    assert.ok(Object.keys(await each('plain')).some((end) => end.startsWith('500')));
    await tell(upstream('two'), 'well');
    await waitUntil('two back', END_MS, async () => {
      const ends = Object.keys(await each('ejecting')).sort();
      return ends.join() === '200 one,200 three,200 two';
    });
    assert.match(await waypointLog(mesh), /left out an endpoint that fails/);
  });

  test('a retry storm: an upstream that fails gets at most 1.2 times its load, and nothing is done twice', async (t) => {
    const load = async (phaseMs: number): Promise<{ began: number; got: number; statuses: Counts }> => {
      await reports();
      await tell(client, `begin ${VIPS.budgeted}`);
      await sleep(phaseMs);
      const { began, statuses } = await tell<{ began: number; statuses: Counts }>(client, `end ${VIPS.budgeted}`);
      return { began, got: await heard(), statuses };
    };
    const well = await load(PHASE_MS);
    await tellAll('unready');
    const failing = await load(FAILING_MS);
    await tellAll('well');
    const again = await load(PHASE_MS);
    t.diagnostic(JSON.stringify({ well, failing, again }));
    assert.deepEqual([well.got, again.got], [well.began, again.began]);
    assert.deepEqual([well.statuses, again.statuses], [{ 200: well.began }, { 200: again.began }]);
    assert.deepEqual(Object.keys(failing.statuses), ['503']);
    // Of the interval before it failed nothing was sent again, so that there is its budget, too: 15 % of five seconds, in four.
    assert.ok(failing.got <= 1.2 * failing.began, `${failing.got} requests for ${failing.began}`);
    assert.ok(failing.got > 1.05 * failing.began, 'nothing was sent again');
    for (const { twice, done } of await reports()) {
      assert.deepEqual(twice, []);
      assert.ok(done > 100, `${done} requests were done`);
    }
    await waypointLives(mesh);
  });
});
