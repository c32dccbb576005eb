import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { dirname } from 'node:path';
import { before, describe, type TestContext, test } from 'node:test';
import type { RunningControl } from '../../src/main/control/control-process.ts';
import { endpointOf } from '../../src/main/control/control-rig.testing.ts';
import { formatIdentity } from '../../src/model/identity/identity.ts';
import type { Registration } from '../../src/model/mesh/registration.ts';
import { CaClient, RegistryClient } from '../../src/platform/grpc/control-clients.ts';
import { KubernetesConnection } from '../../src/platform/kubernetes/connection.ts';
import { readKubeconfig } from '../../src/platform/kubernetes/kubeconfig.ts';
import { createSigningRequest } from '../../src/protocol/ca/signing-request.ts';
import { waitUntil } from '../../testbed/processes/wait.ts';
import { apiServer, SKIP } from './cluster.testing.ts';
import { controlOf, prepare, SYSTEM, tokenKubeconfig } from './mesh.testing.ts';

const SOON_MS = 20_000;
const IN_MESH = { 'istio.io/dataplane-mode': 'weft' };
const VICTIM: Registration = {
  ...{ name: 'victim', namespace: 'shop', serviceAccount: 'elsewhere', addresses: [], labels: {} },
  ...{ enrolled: true, nativeTunnel: false },
};

type Pod = {
  name: string;
  account?: string;
  namespace?: string;
  node?: string;
  ip?: string;
  labels?: object;
  hostNetwork?: boolean;
};

describe('rights of tokens of a cluster', { skip: SKIP }, () => {
  const api = apiServer({ controllers: true });
  before(async () => {
    if (SKIP !== false) return;
    await prepare(api());
    for (const name of ['web', 'elsewhere', 'outside', 'host', 'late', 'waypoint', 'ended'])
      await api().kubectl('create', 'serviceaccount', name, '-n', 'shop');
    for (const name of ['node-1', 'node-2'])
      await api().apply(JSON.stringify({ apiVersion: 'v1', kind: 'Node', metadata: { name } }));
    await run({ name: 'agent', account: 'weft-agent', namespace: SYSTEM, ip: '192.168.0.1', hostNetwork: true });
    await run({ name: 'web', ip: '10.1.0.1' });
    await run({ name: 'elsewhere', ip: '10.2.0.1', node: 'node-2' });
    await run({ name: 'outside', ip: '10.1.0.2', labels: {} });
    await run({ name: 'host', ip: '192.168.0.1', hostNetwork: true });
    await run({ name: 'ended', ip: '10.1.0.3' });
    await setStatus('ended', 'shop', { phase: 'Succeeded' });
    await run({ name: 'waypoint', ip: '10.1.0.9', labels: { 'gateway.networking.k8s.io/gateway-name': 'waypoint' } });
    await api().apply(`apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: waypoint, namespace: shop }
spec: { gatewayClassName: weft-waypoint, listeners: [{ name: mesh, port: 15008, protocol: HBONE }] }
`);
  });

  async function run({ name, account = name, namespace = 'shop', node = 'node-1', ip, labels = IN_MESH, hostNetwork }: Pod) {
    const spec = { nodeName: node, serviceAccountName: account, hostNetwork, containers: [{ name: 'app', image: 'none' }] };
    await api().apply(JSON.stringify({ apiVersion: 'v1', kind: 'Pod', metadata: { name, namespace, labels }, spec }));
    if (ip !== undefined) await setStatus(name, namespace, { phase: 'Running', podIP: ip, podIPs: [{ ip }] });
  }

  async function setStatus(name: string, namespace: string, status: object): Promise<void> {
    const words = ['--subresource=status', '--type=merge', '-p', JSON.stringify({ status })];
    await api().kubectl('patch', 'pod', name, '-n', namespace, ...words);
  }

  /** What one with a token of a pod can do. */
  async function holder(t: TestContext, control: RunningControl, account: string, pod: string) {
    const bound = ['--audience=istio-ca', '--bound-object-kind=Pod', `--bound-object-name=${pod}`];
    const token = await api().tokenOf(account, ...bound);
    const endpoint = { ...(await endpointOf(control, 'node-1')), token: async () => token };
    /** The name in the certificate, or the error. */
    const certificate = async (as: string, impersonate = true): Promise<string> => {
      const [namespace = '', serviceAccount = ''] = as.split('/');
      const identity = { trustDomain: 'cluster.local', namespace, serviceAccount };
      const { csrPem } = await createSigningRequest(identity);
      const client = new CaClient(endpoint, { impersonate });
      t.after(() => client.close());
      try {
        const [leaf = ''] = await client.fetch({ csrPem, identity, ttlSeconds: 3_600 });
        const name = new X509Certificate(leaf).subjectAltName ?? '';
        return name === `URI:${formatIdentity(identity)}` ? 'granted' : name;
      } catch (error) {
        return error instanceof Error && /authentication failure/.test(error.message) ? 'refused' : String(error);
      }
    };
    const register = async (workload: Registration, node = 'node-1'): Promise<string> => {
      const client = new RegistryClient(endpoint, node);
      t.after(() => client.close());
      try {
        const { refused } = await client.sync([workload], []);
        return refused.map(({ message }) => message).join() || 'taken';
      } catch (error) {
        return String(error);
      }
    };
    return { certificate, register };
  }

  test('K96: the token of an agent is good for the pods of its node that are meant for the mesh, and for nobody else', async (t) => {
    const control = await controlOf(t, api());
    const agent = await holder(t, control, `${SYSTEM}/weft-agent`, 'agent');
    assert.equal(await agent.certificate('shop/web'), 'granted');
    const refused: Readonly<Record<string, string>> = {
      'shop/elsewhere': 'runs on another node',
      'shop/outside': 'is not meant for the mesh',
      'shop/host': 'has the network of its host',
      'shop/ended': 'has ended',
      'shop/nobody': 'runs nowhere',
      'shop/waypoint': 'is the identity of a waypoint',
      [`${SYSTEM}/weft-agent`]: 'is the agent itself',
      [`${SYSTEM}/weft-control`]: 'is the control plane',
    };
    const outcomes = await Promise.all(Object.keys(refused).map(async (as) => [as, await agent.certificate(as)] as const));
    for (const [as, outcome] of outcomes) assert.equal(outcome, 'refused', `${as} ${refused[as]}`);
    await api().kubectl('label', 'pod', 'outside', '-n', 'shop', 'istio.io/dataplane-mode=ambient');
    assert.equal(await agent.certificate('shop/outside'), 'granted', 'once it is meant to be');
  });

  test('K96: a pod of which the API server tells a moment later is waited for', async (t) => {
    const control = await controlOf(t, api());
    const agent = await holder(t, control, `${SYSTEM}/weft-agent`, 'agent');
    await run({ name: 'late' });
    const asked = agent.certificate('shop/late');
    await setStatus('late', 'shop', { phase: 'Running', podIP: '10.1.0.4', podIPs: [{ ip: '10.1.0.4' }] });
    assert.equal(await asked, 'granted');
  });

  test('K96: nobody registers anything on a cluster: not an agent for its node, not a waypoint, not a pod', async (t) => {
    const control = await controlOf(t, api());
    const agent = await holder(t, control, `${SYSTEM}/weft-agent`, 'agent');
    // The one of the test before may lead until its time is over.
    await waitUntil('it leads', SOON_MS, async () => !/does not lead/.test(await agent.register(VICTIM)));
    assert.match(await agent.register(VICTIM), /no pod that the API server tells of/);
    assert.match(await agent.register(VICTIM, 'node-2'), /not for node "node-2"/);
    assert.equal(await agent.certificate('shop/elsewhere'), 'refused', 'and what it tried brings it nothing');
    for (const [account, pod] of [
      ['shop/waypoint', 'waypoint'],
      ['shop/web', 'web'],
    ] as const) {
      const one = await holder(t, control, account, pod);
      assert.match(await one.register(VICTIM), /not for node "node-1"/, account);
    }
    assert.deepEqual(
      control.status().findings.filter(({ severity }) => severity === 'error'),
      [],
    );
  });

  test('K98: a waypoint has its own identity while there is its Gateway, and no other; a pod has none', async (t) => {
    const control = await controlOf(t, api());
    const waypoint = await holder(t, control, 'shop/waypoint', 'waypoint');
    assert.equal(await waypoint.certificate('shop/waypoint', false), 'granted');
    assert.equal(await waypoint.certificate('shop/web'), 'refused');
    const pod = await holder(t, control, 'shop/web', 'web');
    assert.equal(await pod.certificate('shop/web', false), 'refused', "its node's agent speaks for it");
    assert.equal(await pod.certificate('shop/elsewhere'), 'refused');
    assert.equal(await pod.certificate('shop/waypoint'), 'refused');
    await api().kubectl('delete', 'gateway', 'waypoint', '-n', 'shop');
    await waitUntil(
      'the end of its right',
      SOON_MS,
      async () => (await waypoint.certificate('shop/waypoint', false)) === 'refused',
    );
  });

  test('K99: the account of agents marks the pods of its own node as captured, and changes nothing else of any pod', async (t) => {
    const token = await api().tokenOf(`${SYSTEM}/weft-agent`, '--bound-object-kind=Pod', '--bound-object-name=agent');
    const kubeconfig = await tokenKubeconfig(api(), dirname(api().kubeconfig), token);
    const connection = new KubernetesConnection(await readKubeconfig(kubeconfig), 'test');
    t.after(() => connection.close());
    /** What the API server says to an agent that patches the status of a pod. */
    const patch = (pod: string, change: object): Promise<string> => {
      const path = `/api/v1/namespaces/shop/pods/${pod}/status`;
      const asked = connection.ask({ method: 'PATCH', path, body: change, contentType: 'application/merge-patch+json' });
      return asked.then(
        () => 'done',
        (error: Error) => error.message,
      );
    };
    const annotated = (name: string, value: string | null) => ({ metadata: { annotations: { [name]: value } } });
    // An admission policy is in force a moment after it was made.
    await waitUntil('the policy', SOON_MS, async () => (await patch('web', { status: { reason: 'x' } })) !== 'done');
    assert.equal(await patch('web', annotated('ambient.istio.io/redirection', 'enabled')), 'done');
    assert.equal(await patch('web', annotated('ambient.istio.io/redirection', null)), 'done');
    assert.match(await patch('elsewhere', annotated('ambient.istio.io/redirection', 'enabled')), /its own node only/);
    assert.match(await patch('web', annotated('other', 'x')), /annotation ambient.istio.io.redirection of a pod only/);
    assert.match(await patch('web', { metadata: { labels: { app: 'other' } } }), /may not change the labels/);
    assert.match(await patch('web', { status: { phase: 'Failed' } }), /may not change the labels, finalizers or status/);
  });

  test('K103: the control plane writes one Gateway of a namespace, if it has made it itself, and cannot change what that is', async (t) => {
    const kubeconfig = await tokenKubeconfig(api(), dirname(api().kubeconfig), await api().tokenOf(`${SYSTEM}/weft-control`));
    const connection = new KubernetesConnection(await readKubeconfig(kubeconfig), 'test');
    t.after(() => connection.close());
    const path = '/apis/gateway.networking.k8s.io/v1/namespaces/shop/gateways';
    const ask = (method: 'POST' | 'PUT' | 'DELETE', name: string, body?: object): Promise<string> =>
      connection.ask({ method, path: method === 'POST' ? path : `${path}/${name}`, ...(body && { body }) }).then(
        () => 'done',
        (error: Error) => error.message,
      );
    const listeners = [{ name: 'mesh', port: 15_008, protocol: 'HBONE' }];
    const gateway = (name: string, annotations: Record<string, string>, gatewayClassName = 'weft-waypoint') => ({
      apiVersion: 'gateway.networking.k8s.io/v1',
      kind: 'Gateway',
      metadata: { name, namespace: 'shop', annotations },
      spec: { gatewayClassName, listeners },
    });
    const AUTO = { 'weft.dev/auto': 'true' };
    await api().apply(JSON.stringify(gateway('users', {})));
    await waitUntil('the policy', SOON_MS, async () => (await ask('DELETE', 'users')) !== 'done');
    await api().apply(JSON.stringify(gateway('users', AUTO)));
    assert.match(await ask('DELETE', 'users'), /of the name weft-auto only/);
    assert.match(await ask('POST', 'mine', gateway('mine', AUTO)), /of the name weft-auto only/);
    assert.match(await ask('POST', 'weft-auto', gateway('weft-auto', {})), /only that it has made/);
    assert.equal(await ask('POST', 'weft-auto', gateway('weft-auto', AUTO)), 'done');
    const version = await api().kubectl(
      'get',
      'gateway',
      'weft-auto',
      '-n',
      'shop',
      '-o',
      'jsonpath={.metadata.resourceVersion}',
    );
    const changed = (annotations: Record<string, string>, gatewayClassName?: string) => {
      const one = gateway('weft-auto', annotations, gatewayClassName);
      return ask('PUT', 'weft-auto', { ...one, metadata: { ...one.metadata, resourceVersion: version } });
    };
    assert.match(await changed(AUTO, 'other'), /may not change what a Gateway is/);
    assert.equal(await changed({ ...AUTO, 'weft.dev/activated': 'true' }), 'done');
    assert.equal(await ask('DELETE', 'weft-auto'), 'done');
  });

  test('K103: what the accounts may not do', async () => {
    const denied: [account: string, verb: string, resource: string, ...rest: string[]][] = [
      ['weft-control', 'get', 'secrets', '-n', 'shop'],
      ['weft-control', 'create', 'pods', '-n', 'shop'],
      ['weft-control', 'patch', 'gateways', '-n', 'shop'],
      ['weft-control', 'update', 'pods', '-n', 'shop'],
      ['weft-control', 'create', 'clusterrolebindings'],
      ['weft-control', 'impersonate', 'serviceaccounts'],
      ['weft-control', 'get', 'nodes'],
      ['weft-control', 'patch', 'nodes'],
      ['weft-agent', 'get', 'secrets', '-n', SYSTEM],
      ['weft-agent', 'create', 'tokenreviews'],
      ['weft-agent', 'update', 'pods', '-n', 'shop'],
      ['weft-agent', 'patch', 'pods', '-n', 'shop'],
      ['weft-agent', 'update', 'leases', '-n', SYSTEM],
    ];
    for (const [account, ...words] of denied) {
      const as = `--as=system:serviceaccount:${SYSTEM}:${account}`;
      assert.match((await api().tryKubectl('auth', 'can-i', ...words, as)).stdout, /^no/m, `${account} ${words.join(' ')}`);
    }
    const waypoint = ['auth', 'can-i', 'get', 'pods', '-n', 'shop', '--as=system:serviceaccount:shop:waypoint'];
    assert.match((await api().tryKubectl(...waypoint)).stdout, /^no/m, 'a waypoint may nothing');
  });
});
