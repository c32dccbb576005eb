import assert from 'node:assert/strict';
import { join } from 'node:path';
import { before, describe, test } from 'node:test';
import { parseAllDocuments } from 'yaml';
import type { CheckReport } from '../../src/model/check/finding.ts';
import { kubernetesPrograms } from '../../testbed/kubernetes/programs.ts';
import { type CommandResult, command, tryCommand } from '../../testbed/processes/command.ts';
import { waitUntil } from '../../testbed/processes/wait.ts';
import { cluster, SKIP_LONG } from './cluster.testing.ts';
import { loadWeft } from './installed.testing.ts';
import { SYSTEM } from './mesh.testing.ts';
import { addressOf, ask, makeNamespace, runEchoPods } from './pods.testing.ts';

const HELM = await kubernetesPrograms('helm');
const SKIP = HELM === null ? 'THE HELM CHART IS NOT TESTED HERE: Helm is not built (make test-kubernetes builds it)' : false;
const HELM_MS = 120_000;
const SOON_MS = 60_000;
/** The promises: every part is ready, and pods that run already are in the mesh. */
const READY_MS_MAX = 60_000;
const ENROLL_MS_MAX = 5_000;
const CHART = (await command([process.execPath, 'scripts/chart.ts'])).trim();
const MANIFESTS = ['control-rbac', 'agent-rbac', 'control', 'agent'];
const WEB = { name: 'web', namespace: 'shop', node: 'node-a' };
const STORE = { name: 'store', namespace: 'shop', node: 'node-b' };

function helm(...words: string[]): Promise<CommandResult> {
  return tryCommand([join(HELM ?? '', 'helm'), ...words], HELM_MS);
}
const rendered = async (...words: string[]): Promise<string> => {
  const { code, stdout, stderr } = await helm('template', 'weft', CHART, '--namespace', SYSTEM, ...words);
  assert.equal(code, 0, stderr);
  return stdout;
};
type Rendered = { kind: string; metadata: { name: string }; [field: string]: unknown };
const objectsIn = (text: string): Rendered[] =>
  parseAllDocuments(text)
    .map((one) => one.toJS() as Rendered | null)
    .filter((one) => one !== null);

describe('the Helm chart', { skip: SKIP }, () => {
  test('K150: rendered twice it is the same, and by its defaults the objects are those of the manifests', async () => {
    const text = await rendered();
    assert.equal(await rendered(), text);
    const files = MANIFESTS.map((name) => command(['cat', `deploy/kubernetes/${name}.yaml`]));
    const idOf = ({ kind, metadata }: Rendered): string => `${kind} ${metadata.name}`;
    const byId = (objects: Rendered[]) => new Map(objects.map((one) => [idOf(one), one]));
    const [ours, theirs] = [byId(objectsIn(text)), byId((await Promise.all(files)).flatMap(objectsIn))];
    assert.deepEqual([...ours.keys()].sort(), [...theirs.keys()].sort());
    for (const [id, one] of theirs) {
      // What the chart says beside them are defaults of the programs and of Kubernetes.
      if (!/^(Deployment|DaemonSet) /.test(id)) assert.deepEqual(ours.get(id), one, id);
      else assert.deepEqual(withoutDefaults(ours.get(id)), withoutDefaults(one), id);
    }
  });

  test('D27: a value that is misspelt, or of another kind, is refused by its name; so is another namespace', async () => {
    for (const [value, wanted] of [
      ['contorl.replicas=2', /contorl/],
      ['agent.tolerance=x', /tolerance/],
      ['control.replicas=none', /replicas/],
      ['global.logLevel=loud', /logLevel/],
    ] as const) {
      const { code, stderr } = await helm('template', 'weft', CHART, '--namespace', SYSTEM, '--set', value);
      assert.notEqual(code, 0, value);
      assert.match(stderr, wanted);
    }
    const elsewhere = await helm('template', 'weft', CHART, '--namespace', 'default');
    assert.match(elsewhere.stderr, /install with --namespace istio-system/);
  });

  test('each value is where it belongs', async () => {
    const values = {
      'global.hub': 'example.org',
      'global.tag': 'v2',
      'global.imagePullSecrets[0].name': 'pull',
      'global.logLevel': 'debug',
      trustDomain: 'td.example',
      'control.replicas': '3',
      'agent.nodeSelector.pool': 'mesh',
      'waypoint.auto': 'false',
      'waypoint.accessLogFormat': '"%PROTOCOL%" %DURATION%',
      'tracing.collector': 'http://otel:4318',
    };
    const text = await rendered(...Object.entries(values).flatMap(([name, value]) => ['--set', `${name}=${value}`]));
    const wanted = [
      ...['image: "example.org/weft:v2"', '--waypoint-image=example.org/weft:v2', '[{"name":"pull"}]', 'value: debug'],
      ...[
        '--trust-domain=td.example',
        'replicas: 3',
        '"pool":"mesh"',
        '--auto-waypoints=off',
        '- "--access-log-format=\\"%PROTOCOL%\\" %DURATION%"',
        '--trace-collector=http://otel:4318',
      ],
    ];
    for (const part of wanted) assert.ok(text.includes(part), part);
  });

  describe('on a cluster', { skip: SKIP_LONG }, () => {
    const running = cluster();
    const kubectl = (...words: string[]): Promise<string> => running().kubectl(...words);
    const onCluster = async (...words: string[]): Promise<string> => {
      const line = running().beside([join(HELM ?? '', 'helm'), '--kubeconfig', running().api.kubeconfig, ...words]);
      return command(line, HELM_MS);
    };
    const lives = (): Promise<string> =>
      kubectl(
        'get',
        'pods',
        '-n',
        'shop',
        '-o',
        'jsonpath={range .items[*]}{.metadata.uid}={.status.containerStatuses[0].restartCount} {end}',
      );
    const captured = async (): Promise<number> => {
      const text = await kubectl('get', 'pods', '-n', 'shop', '-o', 'jsonpath={.items[*].metadata.annotations}');
      return text.split('"ambient.istio.io/redirection":"enabled"').length - 1;
    };
    const clusterObjects = async (): Promise<string[]> => {
      const kinds = 'clusterroles,clusterrolebindings,validatingadmissionpolicies,validatingadmissionpolicybindings';
      const text = await kubectl('get', kinds, '-o', 'name');
      return text.split('\n').filter((name) => name.includes('weft'));
    };

    /** Codes of what `weft check` finds of the cluster. */
    const checked = async (): Promise<string[]> => {
      const line = running().beside(['bin/weft', 'check', '--kubeconfig', running().api.kubeconfig, '-o', 'json']);
      const { stdout, stderr } = await tryCommand(line, HELM_MS);
      assert.notEqual(stdout, '', stderr);
      const { areas } = JSON.parse(stdout) as CheckReport;
      return [...new Set(areas.flatMap(({ findings }) => findings.map(({ code }) => code.replace('WEFT_CHECK_CLUSTER_', ''))))];
    };

    before(async () => {
      if (SKIP !== false || SKIP_LONG !== false) return;
      await loadWeft(running());
      await makeNamespace(running(), 'shop');
      await runEchoPods(running(), [WEB, STORE]);
    });

    test('helm install makes everything ready within a minute, and the label takes pods in that run, without a restart', async (t) => {
      assert.deepEqual(await checked(), ['DEFINITIONS', 'ABSENT']);
      const startMs = performance.now();
      await onCluster('install', 'weft', CHART, '--namespace', SYSTEM, '--create-namespace', '--wait', '--timeout', '60s');
      const readyMs = performance.now() - startMs;
      t.diagnostic(`ready after ${Math.round(readyMs)} ms`);
      assert.ok(readyMs < READY_MS_MAX, `${readyMs} ms`);
      const before = await lives();
      const labelMs = performance.now();
      await kubectl('label', 'namespace', 'shop', 'istio.io/dataplane-mode=ambient');
      await waitUntil('pods that are captured', SOON_MS, async () => (await captured()) === 2);
      const enrolledMs = performance.now() - labelMs;
      t.diagnostic(`in the mesh after ${Math.round(enrolledMs)} ms`);
      assert.ok(enrolledMs < ENROLL_MS_MAX, `${enrolledMs} ms`);
      assert.equal(await lives(), before);
      const url = `http://${await addressOf(running(), STORE)}:8080/`;
      await waitUntil('answer', SOON_MS, async () => (await ask(running(), WEB, url)).code === 0);
    });

    test('K153: weft check finds nothing but what is wrong: no definitions, a policy in the way, a misspelt label, a webhook behind STRICT', async () => {
      await running().api.apply(CLOSED);
      await kubectl('create', 'namespace', 'misspelt');
      await kubectl('label', 'namespace', 'misspelt', 'istio.io/dataplane-mode=ambiant');
      assert.deepEqual(await checked(), ['POLICY', 'DEFINITIONS', 'LABEL']);
      await kubectl('delete', 'networkpolicy', 'closed', '-n', 'shop');
      await kubectl('delete', 'namespace', 'misspelt');
      await kubectl('apply', '--server-side', '--force-conflicts', '-f', 'config/crds');
      await kubectl('wait', '--for=condition=established', 'crd', '--all');
      assert.deepEqual(await checked(), []);
      await running().api.apply(CALLED);
      assert.deepEqual(await checked(), ['API_CALL']);
      await running().api.apply(EXCEPTION);
      assert.deepEqual(await checked(), []);
      await kubectl('delete', 'peerauthentications', '--all', '-n', 'shop');
      await kubectl('delete', 'validatingwebhookconfiguration', 'called');
    });

    test('K150: helm upgrade with other values changes what can be changed', async () => {
      await onCluster(
        'upgrade',
        'weft',
        CHART,
        '--namespace',
        SYSTEM,
        '--set',
        'waypoint.auto=false',
        '--wait',
        '--timeout',
        '60s',
      );
      const args = await kubectl(
        'get',
        'deployment',
        'weft-control',
        '-n',
        SYSTEM,
        '-o',
        'jsonpath={.spec.template.spec.containers[0].args}',
      );
      assert.match(args, /--auto-waypoints=off/);
    });

    test('helm uninstall: pods keep talking, nodes stay ready, and nothing of it is left in the cluster or on its nodes but definitions, what was kept and the stub of the plugin', async () => {
      const [before, address] = [await lives(), await addressOf(running(), STORE)];
      await onCluster('uninstall', 'weft', '--namespace', SYSTEM, '--wait', '--timeout', '60s');
      await waitUntil(
        'end of the agents',
        SOON_MS,
        async () => (await kubectl('get', 'pods', '-n', SYSTEM, '-o', 'name')) === '',
      );
      // Helm takes the agents' rights with them: whether they can remove their marks before is a matter of milliseconds. The remedy does.
      await kubectl('annotate', 'pods', '--all', '-n', 'shop', '--overwrite', 'ambient.istio.io/redirection=enabled');
      assert.deepEqual(await checked(), ['ABSENT', 'MARK']);
      await kubectl('annotate', 'pods', '--all', '-A', 'ambient.istio.io/redirection-');
      assert.deepEqual([await captured(), await checked()], [0, ['ABSENT']]);
      const { code } = await ask(running(), WEB, `http://${address}:8080/`);
      assert.equal(code, 0);
      assert.equal(await lives(), before);
      const format = 'jsonpath={range .items[*]}{.status.conditions[?(@.type=="Ready")].status} {end}';
      assert.equal(await kubectl('get', 'nodes', '-o', format), 'True True ');
      assert.deepEqual(await clusterObjects(), []);
      for (const { name } of running().nodes) {
        const left = await running().node(name).tryRun('sh', '-c', 'ls -R /sys/fs/bpf /etc/cni/net.d; find /run/weft* -type s');
        assert.doesNotMatch(left.stdout, /weft/, `${name}: ${left.stdout}`);
      }
    });
  });
});

const CLOSED = `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: closed, namespace: shop }
spec: { podSelector: {}, policyTypes: [Ingress], ingress: [{ ports: [{ port: 8080 }] }] }
`;

/** The webhook is asked for nothing that there is. */
const CALLED = `apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: { name: called }
webhooks:
  - name: called.weft.test
    clientConfig: { service: { namespace: shop, name: store, port: 80 } }
    rules: [{ apiGroups: [none.weft.test], apiVersions: [v1], operations: [CREATE], resources: [things] }]
    admissionReviewVersions: [v1]
    sideEffects: None
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: strict, namespace: shop }
spec: { mtls: { mode: STRICT } }
`;
const EXCEPTION = `apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: called, namespace: shop }
spec: { selector: { matchLabels: { app: store } }, portLevelMtls: { 8080: { mode: PERMISSIVE } } }
`;

/** Without what the chart writes and the manifests leave to defaults. */
function withoutDefaults(object: Rendered | undefined): unknown {
  const told = /^--(trust-domain=cluster\.local|auto-waypoints=on)$/;
  const text = JSON.stringify(object, (name, value: unknown) => {
    if (name === 'args' && Array.isArray(value)) return value.filter((one) => !told.test(String(one)));
    if (name === 'env' && Array.isArray(value)) {
      const rest = value.filter((one: { name: string }) => one.name !== 'WEFT_LOG_LEVEL');
      return rest.length === 0 ? undefined : rest;
    }
    const isEmpty = typeof value === 'object' && value !== null && Object.keys(value).length === 0;
    return isEmpty && ['nodeSelector', 'tolerations', 'affinity'].includes(name) ? undefined : value;
  });
  return JSON.parse(text) as unknown;
}
