import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { before, describe, type TestContext, test } from 'node:test';
import { endpointOf, follower } from '../../src/main/control/control-rig.testing.ts';
import { BIN } from '../../src/main/weft-process.testing.ts';
import { WAYPOINT as SETTINGS } from '../../src/model/settings/waypoints.ts';
import { KubernetesConnection } from '../../src/platform/kubernetes/connection.ts';
import { readKubeconfig } from '../../src/platform/kubernetes/kubeconfig.ts';
import { command, tryCommand } from '../../testbed/processes/command.ts';
import { waitUntil } from '../../testbed/processes/wait.ts';
import { apiServer, SKIP } from './cluster.testing.ts';
import { conditionsBecome, controlOf, prepare, SYSTEM, tokenKubeconfig } from './mesh.testing.ts';

const SOON_MS = 20_000;
const IMAGE = { waypointImage: 'registry.example/weft:1' };
const OBJECTS = 'serviceaccounts,configmaps,services,deployments,poddisruptionbudgets';
const OURS = 'gateway.istio.io/managed=weft.dev-mesh-controller';

function gateway(name = 'waypoint', more = ''): string {
  return `apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: ${name}, namespace: shop }
spec: { gatewayClassName: weft-waypoint, listeners: [{ name: mesh, port: 15008, protocol: HBONE }]${more} }
`;
}

type PodSpec = {
  containers: { args: string[]; volumeMounts: { mountPath: string }[] }[];
  volumes: { name: string }[];
};

/** A network namespace of its own for a process, with a link to here. */
async function pairOfNamespaces(t: TestContext) {
  const namespace = `weft-wp-${process.pid}`;
  const [here, there] = ['10.231.77.1', '10.231.77.2'];
  const ip = (...words: string[]) => command(['ip', ...words], SOON_MS);
  t.after(() => tryCommand(['ip', 'netns', 'delete', namespace], SOON_MS));
  await ip('netns', 'add', namespace);
  await ip('link', 'add', `wp${process.pid}`, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', namespace);
  await ip('address', 'add', `${here}/30`, 'dev', `wp${process.pid}`);
  await ip('link', 'set', `wp${process.pid}`, 'up');
  for (const words of [
    ['address', 'add', `${there}/30`, 'dev', 'eth0'],
    ['link', 'set', 'eth0', 'up'],
    ['link', 'set', 'lo', 'up'],
  ])
    await ip('-n', namespace, ...words);
  return { namespace, here, there };
}

/** Whether somebody listens there, as a kubelet's probe asks. */
function answers(host: string, port: number): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const socket = connect({ host, port }, () => resolve(true)).once('error', () => resolve(false));
  return promise.finally(() => socket.destroy());
}

describe('waypoints of a cluster', { skip: SKIP }, () => {
  const api = apiServer({ controllers: true });
  before(async () => {
    if (SKIP !== false) return;
    await prepare(api());
    // Pods of waypoints stand beside users' own, under whatever they enforce.
    await api().kubectl('label', 'namespace', 'shop', 'pod-security.kubernetes.io/enforce=restricted');
  });

  /** `kind/name` of each object of ours; with `jsonpath`, that of each. */
  async function ours(jsonpath = '{.kind}/{.metadata.name}', ...more: string[]): Promise<string[]> {
    const template = `{range .items[*]}${jsonpath}{"\\n"}{end}`;
    const text = await api().kubectl('get', OBJECTS, '-n', 'shop', '-l', OURS, ...more, '-o', `jsonpath=${template}`);
    return text
      .trim()
      .split('\n')
      .filter((line) => line !== '')
      .sort();
  }

  const read = async (kind: string, name: string, jsonpath: string): Promise<string> =>
    (await api().tryKubectl('get', kind, name, '-n', 'shop', '-o', `jsonpath=${jsonpath}`)).stdout;

  const becomes = (what: string, wanted: string | RegExp, now: () => Promise<string>): Promise<unknown> =>
    waitUntil(what, SOON_MS, async () => {
      const is = await now();
      return typeof wanted === 'string' ? is === wanted : wanted.test(is);
    });

  const ALL = ['ConfigMap/waypoint-ca-root-cert', 'Deployment/waypoint', 'PodDisruptionBudget/waypoint'];
  const WAYPOINT = [...ALL, 'Service/waypoint', 'ServiceAccount/waypoint'].join();
  const areMade = () => becomes('objects of the waypoint', WAYPOINT, async () => (await ours()).join());
  const versions = () => ours('{.kind}/{.metadata.name}@{.metadata.resourceVersion}');

  /** Pods that no kubelet runs become ready by hand. */
  async function makeReady(name = 'waypoint', range = '10.1.9'): Promise<void> {
    const names = await waitUntil('pods of the waypoint', SOON_MS, async () => {
      const text = await api().kubectl('get', 'pods', '-n', 'shop', '-l', podsOf(name), '-o', 'name');
      const list = text
        .trim()
        .split('\n')
        .filter((name) => name !== '');
      return list.length === 2 && list;
    });
    for (const [at, pod] of names.entries()) {
      const [ip, conditions] = [`${range}.${at + 1}`, [{ type: 'Ready', status: 'True' }]];
      const status = JSON.stringify({ status: { phase: 'Running', podIP: ip, podIPs: [{ ip }], conditions } });
      await api().kubectl('patch', pod, '-n', 'shop', '--subresource=status', '--type=merge', '-p', status);
    }
  }

  const podsOf = (name: string): string => `${OURS},gateway.networking.k8s.io/gateway-name=${name}`;

  test('K120, K121: a Gateway gets account, roots, Service and Deployment, whose pods pass the strictest pod security; when one is ready it is bound', async (t) => {
    const server = api();
    const control = await controlOf(t, server, IMAGE);
    const infrastructure = ', infrastructure: { labels: { team: shop }, annotations: { note: ours } }';
    await server.apply(gateway('waypoint', infrastructure));
    await areMade();
    await conditionsBecome(server, 'gateway', 'waypoint', /Accepted=True\/Accepted Programmed=False\/AddressNotAssigned/);
    assert.deepEqual(
      new Set(await ours('{.metadata.ownerReferences[*].name} {.metadata.labels.team} {.metadata.annotations.note}')),
      new Set(['waypoint shop ours']),
    );
    assert.equal(await read('configmap', 'waypoint-ca-root-cert', '{.data.root-cert\\.pem}'), control.rootsPem);
    const pod =
      '{.spec.template.spec.automountServiceAccountToken} {.spec.template.spec.serviceAccountName} {.spec.template.spec.containers[*].image}';
    assert.equal(await read('deployment', 'waypoint', pod), 'false waypoint registry.example/weft:1');
    await server.apply(`apiVersion: v1
kind: Service
metadata: { name: ratings, namespace: shop, labels: { istio.io/use-waypoint: waypoint } }
spec: { selector: { app: ratings }, ports: [{ name: http, port: 80, targetPort: 8080 }] }
`);
    await makeReady();
    await conditionsBecome(server, 'gateway', 'waypoint', /Programmed=True\/Programmed/);
    const clusterIp = await read('service', 'waypoint', '{.spec.clusterIP}');
    const addresses = '{range .status.addresses[*]}{.type}={.value} {end}';
    const told = `IPAddress=${clusterIp} Hostname=waypoint.shop.svc.cluster.local `;
    await becomes('addresses', told, () => read('gateway', 'waypoint', addresses));
    const agent = follower(t, await endpointOf(control, 'node-1'));
    const key = 'shop/waypoint.shop.svc.cluster.local';
    await agent.until(
      () => agent.services.has(key) && agent.services.get('shop/ratings.shop.svc.cluster.local')?.waypoint != null,
    );
    assert.deepEqual(agent.services.get(key)?.addresses, [await read('service', 'waypoint', '{.spec.clusterIP}')]);
    const instances = [...agent.workloads.values()].filter(({ services }) => services.has(key));
    assert.equal(instances.length, 2);
    assert.ok(instances.every(({ outsideMesh, serviceAccount }) => outsideMesh !== true && serviceAccount === 'waypoint'));
  });

  test('K116, K111, K112: listeners, addresses and class are told as they are; when all pods are lost addresses stay, and a restart writes nothing', async (t) => {
    const server = api();
    await server.apply(gateway('told'));
    const control = await controlOf(t, server, IMAGE);
    const listener =
      '{.status.listeners[0].name} {.status.listeners[0].attachedRoutes} {.status.listeners[0].supportedKinds[*].kind}';
    await makeReady('told', '10.1.8');
    await becomes('the class', 'weft.dev/mesh-controller True', () =>
      read('gatewayclass', 'weft-waypoint', '{.spec.controllerName} {.status.conditions[?(@.type=="Accepted")].status}'),
    );
    await becomes('the listener', 'mesh 0 GRPCRoute HTTPRoute', () => read('gateway', 'told', listener));
    await server.apply(`apiVersion: v1
kind: Service
metadata: { name: details, namespace: shop, labels: { istio.io/use-waypoint: told } }
spec: { selector: { app: details }, ports: [{ name: http, port: 80 }] }
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: details, namespace: shop }
spec: { parentRefs: [{ group: "", kind: Service, name: details }], rules: [{ backendRefs: [{ name: details, port: 80 }] }] }
`);
    await becomes('its route', 'mesh 1 GRPCRoute HTTPRoute', () => read('gateway', 'told', listener));
    // Of every condition, those of listeners among them.
    const generations =
      '{.metadata.generation} {.status.conditions[*].observedGeneration} {.status.listeners[*].conditions[*].observedGeneration}';
    const areObserved = (): Promise<boolean> =>
      read('gateway', 'told', generations).then((text) => new Set(text.split(' ')).size === 1);
    await waitUntil('generations', SOON_MS, areObserved);
    const namespaces = { from: 'All' };
    const listeners = [{ name: 'mesh', port: 15_008, protocol: 'HBONE', allowedRoutes: { namespaces } }];
    const edit = JSON.stringify({ spec: { listeners } });
    await server.kubectl('patch', 'gateway', 'told', '-n', 'shop', '--type=merge', '-p', edit);
    await waitUntil('the next generation', SOON_MS, areObserved);
    await conditionsBecome(server, 'gateway', 'told', /Programmed=True\/Programmed/);
    const version = (): Promise<string> => read('gateway', 'told', '{.metadata.resourceVersion}');
    const settled = await version();
    await control.stop({ waypoints: false });
    const next = await controlOf(t, server, IMAGE);
    await waitUntil('the next leader', SOON_MS, () => next.status().replica?.role === 'leader');
    await waitUntil('its waypoints', SOON_MS, () => next.status().waypoints.every(({ state }) => state === 'running'));
    assert.equal(await version(), settled);
    const addresses = await read('gateway', 'told', '{.status.addresses}');
    for (const pod of (await server.kubectl('get', 'pods', '-n', 'shop', '-l', podsOf('told'), '-o', 'name'))
      .trim()
      .split('\n')) {
      const unready = JSON.stringify({ status: { conditions: [{ type: 'Ready', status: 'False' }] } });
      await server.kubectl('patch', pod, '-n', 'shop', '--subresource=status', '--type=merge', '-p', unready);
    }
    await conditionsBecome(server, 'gateway', 'told', /Programmed=False\/Pending/);
    assert.equal(await read('gateway', 'told', '{.status.addresses}'), addresses);
    await becomes('its listener', 'mesh 1 GRPCRoute HTTPRoute', () => read('gateway', 'told', listener));
    await server.kubectl('delete', 'httproute/details', 'service/details', 'gateway/told', '-n', 'shop');
    await becomes('the end of it', WAYPOINT, async () => (await ours()).join());
  });

  test('what somebody changes or removes is made as it was, what they add stays, and nothing is written again and again', async (t) => {
    const server = api();
    await server.apply(gateway());
    await controlOf(t, server, IMAGE);
    await areMade();
    await server.kubectl('scale', 'deployment', 'waypoint', '-n', 'shop', '--replicas=0');
    await becomes('replicas', '2', () => read('deployment', 'waypoint', '{.spec.replicas}'));
    const patch = '{"spec":{"ports":[{"name":"mesh","port":9}],"selector":{"gateway.networking.k8s.io/gateway-name":"other"}}}';
    await server.kubectl('patch', 'service', 'waypoint', '-n', 'shop', '-p', patch, '--type=merge');
    await becomes('selector', 'waypoint', () =>
      read('service', 'waypoint', '{.spec.selector.gateway\\.networking\\.k8s\\.io/gateway-name}'),
    );
    await becomes('port', /15008/, () => read('service', 'waypoint', '{.spec.ports[*].port}'));
    await server.kubectl('label', 'serviceaccount', 'waypoint', '-n', 'shop', 'gateway.istio.io/managed-');
    await server.kubectl('delete', 'poddisruptionbudget', 'waypoint', '-n', 'shop');
    await server.kubectl('delete', 'configmap', 'waypoint-ca-root-cert', '-n', 'shop');
    await server.kubectl('annotate', 'deployment', 'waypoint', '-n', 'shop', 'theirs=stays');
    await areMade();
    assert.equal(await read('deployment', 'waypoint', '{.metadata.annotations.theirs}'), 'stays');
    await waitUntil('quiet', SOON_MS, async () => {
      const before = await versions();
      // Every write is allowed again after a second.
      await new Promise((resolve) => setTimeout(resolve, 1_500));
      return (await versions()).join() === before.join();
    });
  });

  test('K111: who begins to lead changes no object of a waypoint; who does not lead makes none', async (t) => {
    const server = api();
    await server.apply(gateway());
    const first = await controlOf(t, server, IMAGE);
    await areMade();
    const second = await controlOf(t, server, IMAGE);
    await waitUntil('quiet', SOON_MS, async () => {
      const before = await versions();
      await new Promise((resolve) => setTimeout(resolve, 1_500));
      return (await versions()).join() === before.join();
    });
    const settled = await versions();
    await first.stop({ waypoints: false });
    await waitUntil('the next leader', SOON_MS, () => second.status().replica?.role === 'leader');
    await waitUntil('its waypoints', SOON_MS, () => second.status().waypoints.every(({ state }) => state === 'running'));
    assert.deepEqual(await versions(), settled);
    await server.kubectl('delete', 'service', 'waypoint', '-n', 'shop');
    await areMade();
  });

  test('K128: what has the name of an object of a waypoint and is none stays as it is, and the Gateway says so', async (t) => {
    const server = api();
    await server.kubectl('create', 'serviceaccount', 'other', '-n', 'shop');
    await server.apply(
      'apiVersion: v1\nkind: ConfigMap\nmetadata: { name: other-ca-root-cert, namespace: shop }\ndata: { theirs: stays }\n',
    );
    const control = await controlOf(t, server, IMAGE);
    await server.apply(gateway('other'));
    await conditionsBecome(server, 'gateway', 'other', /Programmed=False\/Invalid/);
    assert.match(
      await read('gateway', 'other', '{.status.conditions[?(@.type=="Programmed")].message}'),
      /ServiceAccount shop\/other has the name/,
    );
    assert.match(
      control.status().waypoints.find(({ gateway: of }) => of === 'other')?.problem ?? '',
      /ServiceAccount shop\/other/,
    );
    assert.equal(await read('configmap', 'other-ca-root-cert', '{.data.theirs}'), 'stays');
    await server.kubectl('delete', 'serviceaccount', 'other', '-n', 'shop');
    await server.kubectl('delete', 'configmap', 'other-ca-root-cert', '-n', 'shop');
    await conditionsBecome(server, 'gateway', 'other', /Programmed=False\/AddressNotAssigned/);
    await server.kubectl('delete', 'gateway', 'other', '-n', 'shop');
    await becomes('the end of it', WAYPOINT, async () => (await ours()).join());
  });

  test('K134: a namespace that has no room for the pods is named as the reason', async (t) => {
    const server = api();
    await controlOf(t, server, IMAGE);
    const quota = JSON.stringify({
      apiVersion: 'v1',
      kind: 'ResourceQuota',
      metadata: { name: 'none', namespace: 'shop' },
      spec: { hard: { pods: '0' } },
    });
    await server.apply(quota);
    await server.apply(gateway('full'));
    await conditionsBecome(server, 'gateway', 'full', /Programmed=False\/Invalid/);
    assert.match(await read('gateway', 'full', '{.status.conditions[?(@.type=="Programmed")].message}'), /exceeded quota/);
    await server.kubectl('delete', 'resourcequota', 'none', '-n', 'shop');
    await server.kubectl('delete', 'gateway', 'full', '-n', 'shop');
  });

  test('a Gateway that goes, or that becomes of another class, takes everything with it', async (t) => {
    const server = api();
    await server.apply(gateway());
    await controlOf(t, server, IMAGE);
    await areMade();
    await server.kubectl(
      'patch',
      'gateway',
      'waypoint',
      '-n',
      'shop',
      '--type=merge',
      '-p',
      '{"spec":{"gatewayClassName":"other"}}',
    );
    await becomes('nothing', '', async () => (await ours()).join());
    await server.kubectl(
      'patch',
      'gateway',
      'waypoint',
      '-n',
      'shop',
      '--type=merge',
      '-p',
      '{"spec":{"gatewayClassName":"weft-waypoint"}}',
    );
    await areMade();
    await server.kubectl('delete', 'gateway', 'waypoint', '-n', 'shop');
    await becomes('nothing', '', async () => (await ours()).join());
  });

  test('K121, K122: the container that is described runs as nobody, without a capability, is ready when it has its configuration, and serves on for a while when it is told to end', async (t) => {
    const server = api();
    const link = await pairOfNamespaces(t);
    const control = await controlOf(t, server, IMAGE, { host: link.here, port: 0 });
    await server.apply(gateway());
    await areMade();
    const [pod = ''] = await waitUntil('a pod', SOON_MS, async () => {
      const names = (
        await server.kubectl('get', 'pods', '-n', 'shop', '-l', OURS, '-o', 'jsonpath={.items[*].metadata.name}')
      ).split(' ');
      return names[0] !== '' && names;
    });
    const { containers, volumes } = JSON.parse(await read('pod', pod, '{.spec}')) as PodSpec;
    const [container = assert.fail()] = containers;
    // As the kubelet would make them.
    const dir = await mkdtemp(join(tmpdir(), 'weft-waypoint-pod-'));
    t.after(() => rm(dir, { recursive: true, force: true }));
    await chmod(dir, 0o755);
    const token = await server.tokenOf(
      'shop/waypoint',
      '--audience=istio-ca',
      '--bound-object-kind=Pod',
      `--bound-object-name=${pod}`,
    );
    await writeFile(join(dir, 'token'), token);
    await writeFile(join(dir, 'root-cert.pem'), await read('configmap', 'waypoint-ca-root-cert', '{.data.root-cert\\.pem}'));
    const mounts = new Map(container.volumeMounts.map(({ mountPath }) => [mountPath, dir]));
    assert.deepEqual(volumes.map(({ name }) => name).sort(), ['root', 'token'], 'and nothing else of its node or the API');
    const args = container.args.map((arg) => {
      const [, mount = '', file = ''] = /^(.*)\/([^/]+)$/.exec(arg) ?? [];
      if (mounts.has(mount)) return join(dir, file);
      return arg === '$(NODE_NAME)' ? 'node-1' : arg === 'weft-control.istio-system.svc:15012' ? control.address : arg;
    });
    const nobody = [
      '--reuid',
      '65532',
      '--regid',
      '65532',
      '--clear-groups',
      '--bounding-set=-all',
      '--inh-caps=-all',
      '--no-new-privs',
    ];
    const line = ['ip', 'netns', 'exec', link.namespace, 'setpriv', '--pdeathsig', 'KILL', ...nobody, '--', BIN, ...args];
    const [program = '', ...words] = line;
    const child = spawn(program, words, { stdio: ['ignore', 'ignore', 'pipe'], cwd: '/' });
    t.after(() => child.kill('SIGKILL'));
    let said = '';
    child.stderr.on('data', (bytes: Buffer) => {
      said += bytes.toString();
    });
    const isReady = async (): Promise<boolean> => {
      if (child.exitCode !== null) throw new Error(`it ended: ${said}`);
      return await answers(link.there, 15_008);
    };
    await waitUntil('readiness', SOON_MS, isReady).catch((error: unknown) => {
      throw new Error(said, { cause: error });
    });
    assert.match(await readFile(`/proc/${child.pid}/status`, 'utf8'), /^Uid:\t65532\b[\s\S]*^CapEff:\t0+$/m);
    await waitUntil('its stream', SOON_MS, () =>
      control.status().connections.some((one) => one.serviceAccount === 'waypoint' && one.upToDate),
    );
    const [ended, toldMs] = [once(child, 'exit'), performance.now()];
    child.kill('SIGTERM');
    assert.deepEqual(await ended, [0, null], said);
    assert.ok(performance.now() - toldMs >= SETTINGS.lateMs, 'nodes that have not heard of it yet find it');
  });

  test('K103: the account of the control plane makes nothing but waypoints, and takes over nothing of others', async (t) => {
    const server = api();
    const kubeconfig = await tokenKubeconfig(server, dirname(server.kubeconfig), await server.tokenOf(`${SYSTEM}/weft-control`));
    const connection = new KubernetesConnection(await readKubeconfig(kubeconfig), 'test');
    t.after(() => connection.close());
    const ask = (method: 'POST' | 'PATCH' | 'DELETE', path: string, body?: object): Promise<string> =>
      connection
        .ask({
          method,
          path,
          ...(body && { body }),
          contentType: method === 'PATCH' ? 'application/merge-patch+json' : 'application/json',
        })
        .then(
          () => 'done',
          (error: Error) => error.message,
        );
    const [managed, selector] = [{ 'gateway.istio.io/managed': 'weft.dev-mesh-controller' }, { app: 'x' }];
    const make = (labels: object, pod: object): Promise<string> => {
      const template = { metadata: { labels: selector }, spec: { containers: [{ name: 'x', image: 'x' }], ...pod } };
      const spec = { selector: { matchLabels: selector }, template };
      const object = { apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'x', labels }, spec };
      return ask('POST', '/apis/apps/v1/namespaces/kube-system/deployments', object);
    };
    // An admission policy is in force a moment after it was made.
    await waitUntil('the policy', SOON_MS, async () => (await make({ other: 'x' }, { hostNetwork: true })) !== 'done');
    assert.match(await make({}, {}), /objects of its waypoints only/);
    assert.match(await make(managed, { hostNetwork: true }), /neither its host nor Secrets/);
    assert.match(await make(managed, { volumes: [{ name: 'root', hostPath: { path: '/' } }] }), /neither its host nor Secrets/);
    assert.match(await make(managed, { volumes: [{ name: 's', secret: { secretName: 's' } }] }), /neither its host nor Secrets/);
    const privileged = { name: 'x', image: 'x', securityContext: { privileged: true } };
    assert.match(await make(managed, { containers: [privileged] }), /neither its host nor Secrets/);
    await server.apply('apiVersion: v1\nkind: ConfigMap\nmetadata: { name: theirs, namespace: shop }\n');
    const theirs = '/api/v1/namespaces/shop/configmaps/theirs';
    assert.match(await ask('PATCH', theirs, { metadata: { labels: managed } }), /may not take over/);
    assert.match(await ask('DELETE', theirs), /objects of its waypoints only/);
  });
});
