import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { ANYTHING, endpointOf, follower } from '../../src/main/control/control-rig.testing.ts';
import { waitUntil } from '../../testbed/processes/wait.ts';
import { apiServer, SKIP } from './cluster.testing.ts';
import { conditionsBecome, conditionsOf, controlOf, prepare, runPod, SYSTEM } from './mesh.testing.ts';

const SOON_MS = 20_000;
/** Waits grow to half a minute. */
const RECOVER_MS = 60_000;
const SEEN = { type: 'Seen', status: 'True', reason: 'Seen', message: '', lastTransitionTime: '2026-01-01T00:00:00Z' };
const SERVICE = `apiVersion: v1
kind: Service
metadata: { name: ratings, namespace: shop }
spec: { selector: { app: ratings }, ports: [{ name: http, port: 80, targetPort: 8080 }] }
`;

describe('a control plane over a cluster', { skip: SKIP }, () => {
  const api = apiServer({ controllers: true });
  before(() => (SKIP === false ? prepare(api()) : undefined));

  test('services and pods of the cluster are what agents are told, as they come, change and go', async (t) => {
    const server = api();
    await server.apply(SERVICE);
    const control = await controlOf(t, server);
    const agent = follower(t, await endpointOf(control, 'node-1'));
    await agent.until(() => agent.services.has('shop/ratings.shop.svc.cluster.local'));
    await runPod(server, 'ratings', '10.1.0.7');
    const ofPod = () => [...agent.workloads.values()].find(({ name }) => name === 'ratings');
    await agent.until(() => ofPod()?.healthy === true);
    assert.deepEqual(ofPod()?.addresses, ['10.1.0.7']);
    const [region, zone] = ['topology.kubernetes.io/region=r', 'topology.kubernetes.io/zone=a'];
    await server.apply('apiVersion: v1\nkind: Node\nmetadata: { name: node-1 }\n');
    await server.kubectl('label', 'node', 'node-1', region, zone);
    await agent.until(() => ofPod()?.locality.zone === 'a');
    assert.deepEqual(ofPod()?.locality, { region: 'r', zone: 'a', subzone: '' });
    await server.kubectl('delete', 'node', 'node-1');
    await agent.until(() => ofPod()?.locality.zone !== 'a');
    await server.kubectl('delete', 'pod', 'ratings', '-n', 'shop', '--grace-period=0', '--force');
    await agent.until(() => ofPod() === undefined);
    await server.kubectl('delete', 'service', 'ratings', '-n', 'shop');
    await agent.until(() => !agent.services.has('shop/ratings.shop.svc.cluster.local'));
    assert.deepEqual(
      control.status().findings.filter(({ resource }) => resource.includes('shop/')),
      [],
    );
  });

  test('K112, K111: what became of a resource is in its status, with its generation; a restart writes nothing', async (t) => {
    const server = api();
    const control = await controlOf(t, server);
    await server.apply(`${SERVICE}---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: ratings, namespace: shop }
spec:
  parentRefs: [{ group: "", kind: Service, name: ratings, port: 80 }, { group: "", kind: Service, name: nobody }]
  rules: [{ backendRefs: [{ name: ratings, port: 80 }] }]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: deny, namespace: shop }
spec: { action: DENY, selector: { matchLabels: { app: ratings } }, rules: [{ from: [{ source: { namespaces: [other] } }] }] }
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: waypoint, namespace: shop }
spec: { gatewayClassName: istio-waypoint, listeners: [{ name: mesh, port: 15008, protocol: HBONE }] }
`);
    const route = await conditionsBecome(server, 'httproute', 'ratings', /nobody.*ratings: Accepted=True/);
    assert.match(route, /nobody: Accepted=False\/NoMatchingParent/);
    assert.match(
      route,
      /ratings: Accepted=True\/Accepted ResolvedRefs=True\/ResolvedRefs ResolvedWaypoints=False\/MissingUseWaypointLabel/,
    );
    await conditionsBecome(
      server,
      'authorizationpolicy',
      'deny',
      /^ZtunnelAccepted=True\/Accepted weft.dev\/NodeProxyAccepted=True\/Accepted$/,
    );
    await conditionsBecome(server, 'gateway', 'waypoint', /Accepted=True\/Accepted Programmed=False\/AddressNotAssigned/);
    await server.kubectl('label', 'service', 'ratings', '-n', 'shop', 'istio.io/use-waypoint=waypoint');
    await conditionsBecome(server, 'service', 'ratings', /istio.io\/WaypointBound=False\/WaypointIsNotReady/);
    await server.kubectl(
      'patch',
      'httproute',
      'ratings',
      '-n',
      'shop',
      '--type=merge',
      '-p',
      '{"spec":{"hostnames":["a.example"]}}',
    );
    await waitUntil('the generation in every condition', SOON_MS, async () => {
      const text = await server.kubectl('get', 'httproute', 'ratings', '-n', 'shop', '-o', 'json');
      const { metadata, status } = JSON.parse(text) as {
        metadata: { generation: number };
        status: { parents: { conditions: { observedGeneration: number }[] }[] };
      };
      return status.parents.every(({ conditions }) =>
        conditions.every(({ observedGeneration }) => observedGeneration === metadata.generation),
      );
    });
    const versions = () =>
      server.kubectl(
        'get',
        'httproutes,authorizationpolicies,gateways,services',
        '-n',
        'shop',
        '-o',
        'jsonpath={.items[*].metadata.resourceVersion}',
      );
    const settled = await versions();
    await control.stop({ waypoints: false });
    const next = await controlOf(t, server);
    await waitUntil('conditions', SOON_MS, () => next.status().conditions.length >= 5);
    // Whatever would be written is written within the time of a burst.
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    assert.equal(await versions(), settled);
  });

  test('K107, K109: entries of other controllers stay; with the reference ours goes', async (t) => {
    const server = api();
    await server.apply(SERVICE);
    const theirs = { parentRef: { name: 'edge' }, controllerName: 'example.com/edge', conditions: [SEEN] };
    await server.apply(`apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: shared, namespace: shop }
spec: { parentRefs: [{ name: edge }, { group: "", kind: Service, name: ratings }], rules: [{ backendRefs: [{ name: ratings, port: 80 }] }] }
`);
    const patch = ['--subresource=status', '--type=merge', '-p', JSON.stringify({ status: { parents: [theirs] } })];
    await server.kubectl('patch', 'httproute', 'shared', '-n', 'shop', ...patch);
    await controlOf(t, server);
    assert.match(
      await conditionsBecome(server, 'httproute', 'shared', /ratings: Accepted=True/),
      /^edge: Seen=True\/Seen; ratings/,
    );
    await server.kubectl(
      'patch',
      'httproute',
      'shared',
      '-n',
      'shop',
      '--type=merge',
      '-p',
      '{"spec":{"parentRefs":[{"name":"edge"}]}}',
    );
    await waitUntil(
      'the end of our entry',
      SOON_MS,
      async () => !(await conditionsOf(server, 'httproute', 'shared')).includes('ratings'),
    );
    assert.equal(await conditionsOf(server, 'httproute', 'shared'), 'edge: Seen=True/Seen');
  });

  test('a resource that is refused says why in its status and by an event; its last good version stays in force, over a restart, too', async (t) => {
    const server = api();
    const control = await controlOf(t, server);
    const policy = (rule: string) => `apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: only-web, namespace: shop }
spec: { action: ALLOW, rules: [${rule}] }
`;
    await server.apply(policy('{ from: [{ source: { namespaces: [web] } }] }'));
    const agent = follower(t, await endpointOf(control, 'node-1'));
    const namespacesIn = (policies: typeof agent.policies) =>
      JSON.stringify([...policies.values()].filter(({ name }) => name === 'only-web'));
    await agent.until(() => namespacesIn(agent.policies).includes('web'));
    await server.apply(policy('{ from: [{ source: { ipBlocks: [not-an-address] } }] }'));
    await conditionsBecome(server, 'authorizationpolicy', 'only-web', /ZtunnelAccepted=False\/Invalid/);
    const described = await waitUntil('an event', SOON_MS, async () => {
      const text = await server.kubectl('describe', 'authorizationpolicy', 'only-web', '-n', 'shop');
      return text.includes('ResourceRefused') ? text : false;
    });
    assert.match(described, /Warning +ResourceRefused .*not-an-address/);
    assert.ok(namespacesIn(agent.policies).includes('web'));
    const finding = control
      .status()
      .findings.find(({ resource, severity }) => severity === 'error' && resource === 'AuthorizationPolicy shop/only-web');
    assert.match(finding?.message ?? '', /the last good version stays in force/);
    await control.stop({ waypoints: false });
    const next = await controlOf(t, server);
    const again = follower(t, await endpointOf(next, 'node-1'));
    await again.until(() => namespacesIn(again.policies).includes('web'));
    await server.kubectl('delete', 'authorizationpolicy', 'only-web', '-n', 'shop');
    await again.until(() => namespacesIn(again.policies) === '[]');
  });

  test('K93: of two control planes one leads and both serve; when it ends the other leads and goes on writing', async (t) => {
    const server = api();
    await server.apply(SERVICE);
    const first = await controlOf(t, server);
    const second = await controlOf(t, server);
    const roleOf = (control: typeof first) => control.status().replica?.role;
    assert.deepEqual([roleOf(first), roleOf(second)], ['leader', 'follower']);
    assert.equal(first.rootsPem, second.rootsPem, 'K95: one root');
    const agent = follower(t, { ...(await endpointOf(first, 'node-1')), address: second.address });
    await agent.until(() => agent.services.has('shop/ratings.shop.svc.cluster.local'));
    await first.stop({ waypoints: false });
    await waitUntil('the next leader', SOON_MS, () => roleOf(second) === 'leader');
    await server.apply(`apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: late, namespace: shop }
spec: { parentRefs: [{ group: "", kind: Service, name: ratings }], rules: [{ backendRefs: [{ name: ratings, port: 80 }] }] }
`);
    await conditionsBecome(server, 'httproute', 'late', /ratings: Accepted=True/);
  });

  test('K96: the token of an agent pod speaks for its node; those of other pods, of other audiences and of no pod do not', async (t) => {
    const server = api();
    const control = await controlOf(t, server);
    const node = { apiVersion: 'v1', kind: 'Node', metadata: { name: 'node-7' } };
    await server.apply(JSON.stringify(node));
    const pod = (name: string, account: string, namespace: string) =>
      JSON.stringify({
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { name, namespace },
        spec: { nodeName: 'node-7', serviceAccountName: account, containers: [{ name: 'app', image: 'none' }] },
      });
    await server.apply(pod('agent', 'weft-agent', SYSTEM));
    await server.apply(pod('web', 'default', 'shop'));
    const bound = (name: string) => ['--bound-object-kind=Pod', `--bound-object-name=${name}`];
    const ours = await endpointOf(control, 'node-7', ANYTHING);
    const joins = async (token: string, asNode: string): Promise<boolean> => {
      const agent = follower(t, { ...ours, token: async () => token }, { node: asNode });
      // Long enough for several attempts.
      for (let looks = 0; looks < 20 && agent.connects() === 0; looks++) await new Promise((resolve) => setTimeout(resolve, 50));
      return agent.connects() > 0;
    };
    const token = (account: string, ...words: string[]) => server.tokenOf(account, ...words);
    assert.equal(await joins(await token(`${SYSTEM}/weft-agent`, '--audience=istio-ca', ...bound('agent')), 'node-7'), true);
    assert.equal(
      await joins(await token(`${SYSTEM}/weft-agent`, '--audience=istio-ca', ...bound('agent')), 'node-8'),
      false,
      'another node',
    );
    assert.equal(await joins(await token(`${SYSTEM}/weft-agent`, ...bound('agent')), 'node-7'), false, 'for the API server');
    assert.equal(await joins(await token(`${SYSTEM}/weft-agent`, '--audience=istio-ca'), 'node-7'), false, 'of no pod');
    assert.equal(
      await joins(await token('shop/default', '--audience=istio-ca', ...bound('web')), 'node-7'),
      false,
      'of another account',
    );
  });

  test('K85: while the API server is away agents are served, new ones, too; back, what changed is in force', async (t) => {
    const server = api();
    await server.apply(SERVICE);
    const control = await controlOf(t, server);
    await server.kill();
    const agent = follower(t, await endpointOf(control, 'node-1'));
    await agent.until(() => agent.services.has('shop/ratings.shop.svc.cluster.local'));
    await waitUntil('the problem in the status', SOON_MS, () =>
      control.status().outOfDate.some((one) => one.includes('not reached')),
    );
    await server.serveAgain();
    await server.apply(SERVICE.replace('name: ratings', 'name: reviews'));
    await agent.until(() => agent.services.has('shop/reviews.shop.svc.cluster.local'));
    await waitUntil('end of the problem', RECOVER_MS, () => {
      const { outOfDate } = control.status();
      if (outOfDate.length > 0) throw new Error(outOfDate.join('; '));
      return true;
    });
  });
});
