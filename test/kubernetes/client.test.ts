import assert from 'node:assert/strict';
import test, { type TestContext } from 'node:test';
import { systemClock } from '../../src/platform/clock.ts';
import type { KubernetesConnection } from '../../src/platform/kubernetes/connection.ts';
import { followCluster } from '../../src/platform/kubernetes/follow-cluster.ts';
import { systemRandom } from '../../src/platform/random.ts';
import type { FollowedKind, ObjectChange } from '../../src/protocol/kubernetes/following.ts';
import type { ApiServer } from '../../testbed/kubernetes/api-server.ts';
import { waitUntil } from '../../testbed/processes/wait.ts';
import { apiServer, connectionTo, SKIP } from './cluster.testing.ts';

const RECOVER_MS = 45_000;
const SOON_MS = 5_000;

const SERVICES: FollowedKind = { group: '', kind: 'Service', versions: ['v1'], keep: (object) => object };
const ROUTES: FollowedKind = {
  group: 'gateway.networking.k8s.io',
  kind: 'HTTPRoute',
  versions: ['v1', 'v1beta1'],
  keep: (object) => object,
};

const api = apiServer();

/** What a follower holds now, and everything that it told. */
type Rig = {
  objects: Map<string, string>;
  told: string[];
  troubles: string[];
  connection: KubernetesConnection;
  has(key: string, present?: boolean): Promise<unknown>;
};

async function follow(t: TestContext, server: ApiServer, kinds: readonly FollowedKind[]): Promise<Rig> {
  const connection = await connectionTo(server);
  const objects = new Map<string, string>();
  const [told, troubles]: [string[], string[]] = [[], []];
  const listener = {
    changed({ kind }: FollowedKind, changes: readonly ObjectChange[]) {
      for (const { key, object } of changes) {
        told.push(`${object === null ? '-' : '+'}${kind} ${key}`);
        if (object === null) objects.delete(`${kind} ${key}`);
        else objects.set(`${kind} ${key}`, object.metadata.uid ?? '');
      }
    },
    trouble: (problem: Error) => void troubles.push(problem.message),
  };
  const watch = await followCluster({ connection, clock: systemClock, random: systemRandom }, kinds, listener);
  t.after(() => {
    watch.close();
    connection.close();
  });
  const has = (key: string, present = true) =>
    waitUntil(`${present ? 'sight' : 'end'} of ${key}`, RECOVER_MS, () => objects.has(key) === present);
  return { objects, told, troubles, connection, has };
}

function service(name: string, port = 80): string {
  return `apiVersion: v1\nkind: Service\nmetadata: { name: ${name}, namespace: default }\nspec: { ports: [{ port: ${port} }] }\n---\n`;
}

test('objects are told as they come, change and go, with what the API server adds', { skip: SKIP }, async (t) => {
  const server = api();
  await server.apply(service('a'));
  const { told, has } = await follow(t, server, [SERVICES]);
  assert.ok(told.includes('+Service default/a'), 'what was there is told when following begins');
  await server.apply(service('b'));
  await has('Service default/b');
  const before = told.length;
  await server.apply(service('b', 81));
  await waitUntil('a change', SOON_MS, () => told.length > before);
  await server.kubectl('delete', 'service', 'a', 'b', '-n', 'default');
  await has('Service default/b', false);
  await has('Service default/a', false);
});

test('K90: a kind that is defined later is followed at once; when its definition goes, its objects are gone', {
  skip: SKIP,
}, async (t) => {
  const server = api();
  const { has, troubles } = await follow(t, server, [SERVICES, ROUTES]);
  await server.kubectl('apply', '--server-side', '-f', 'config/crds/gateway.networking.k8s.io_httproutes.yaml');
  const name = 'httproutes.gateway.networking.k8s.io';
  await server.kubectl('wait', '--for=condition=established', `crd/${name}`);
  await server.apply(
    'apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: { name: r, namespace: default }\nspec: { rules: [{}] }\n',
  );
  const sinceMs = performance.now();
  await has('HTTPRoute default/r');
  assert.ok(performance.now() - sinceMs < SOON_MS, 'within five seconds');
  await server.kubectl('delete', 'crd', name);
  await has('HTTPRoute default/r', false);
  assert.deepEqual(troubles, [], 'that kinds come and go is no trouble');
});

test('K84, K86: while the API server is away what was told stays; back, only the differences are told, even when versions were compacted', {
  skip: SKIP,
}, async (t) => {
  const server = api();
  const many = Array.from({ length: 100 }, (_, at) => service(`s${at}`)).join('');
  await server.apply(many);
  const { told, objects, has, troubles, connection } = await follow(t, server, [SERVICES]);
  const uid = objects.get('Service default/s1');
  await server.kill();
  const before = told.length;
  await waitUntil('a problem', RECOVER_MS, () => troubles.length > 0);
  assert.equal(told.length, before, 'nothing is told gone');
  await server.serveAgain();
  // Changed at once, most often before it is followed again.
  await server.kubectl('delete', 'service', 's0', 's1', '-n', 'default');
  await server.apply(service('s1') + service('new'));
  await server.compact();
  await has('Service default/new');
  await has('Service default/s0', false);
  await waitUntil('the new s1', RECOVER_MS, () => objects.get('Service default/s1') !== uid);
  const after = told.slice(before);
  assert.deepEqual(
    after.filter((one) => / default\/s[2-9]\d?$/.test(one)),
    [],
    'what did not change is not told again',
  );
  const { receivedBytes } = connection.traffic;
  await server.kill();
  await server.compact();
  await server.serveAgain();
  await server.apply(service('newest'));
  await has('Service default/newest');
  const perObject = (connection.traffic.receivedBytes - receivedBytes) / objects.size;
  t.diagnostic(
    `${connection.traffic.receivedBytes - receivedBytes} bytes to go on after a restart, ${Math.round(perObject)} an object`,
  );
  assert.ok(perObject < 4_000, 'everything is read at most once');
  await server.kubectl('delete', 'service', '-n', 'default', '--all');
});
