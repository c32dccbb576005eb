import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { parse } from 'yaml';
import type { ClusterPlace } from '../../src/main/control/cluster-backing.ts';
import { type RunningControl, startControl } from '../../src/main/control/control-process.ts';
import { SILENT_LOG } from '../../src/model/effects/log.ts';
import type { ApiServer } from '../../testbed/kubernetes/api-server.ts';
import { waitUntil } from '../../testbed/processes/wait.ts';

/** Namespace of the control plane. */
export const SYSTEM = 'istio-system';
const CONVERGE_MS = 20_000;

/** A control plane over a cluster, in this process, until the test ends or it is stopped; it has the rights of its account and no more. */
export async function controlOf(
  t: TestContext,
  server: ApiServer,
  place: Partial<ClusterPlace> = {},
  listen = { host: '127.0.0.1', port: 0 },
): Promise<RunningControl> {
  const dir = await mkdtemp(join(tmpdir(), 'weft-kubernetes-control-'));
  const kubeconfig = await tokenKubeconfig(server, dir, await server.tokenOf(`${SYSTEM}/weft-control`));
  const control = await startControl({
    configDir: '',
    stateDir: join(dir, 'state'),
    cluster: {
      kubeconfig,
      namespace: SYSTEM,
      version: 'test',
      waypointImage: null,
      autoWaypoints: false,
      traces: null,
      accessLogFormat: null,
      ...place,
    },
    listen,
    serverNames: [],
    trustDomain: 'cluster.local',
    socketPath: null,
    waypointRunner: null,
    stats: null,
    version: 'test',
    log: SILENT_LOG,
  });
  t.after(async () => {
    await control.stop({ waypoints: false });
    await rm(dir, { recursive: true, force: true });
  });
  return control;
}

/** Writes how a token reaches the API server into a folder; returns the path of the file. */
export async function tokenKubeconfig(server: ApiServer, dir: string, token: string): Promise<string> {
  const path = join(dir, 'token.kubeconfig');
  const { clusters } = parse(await readFile(server.kubeconfig, 'utf8')) as { clusters: { name: string }[] };
  const contexts = [{ name: 'own', context: { cluster: clusters[0]?.name, user: 'own' } }];
  const config = { clusters, users: [{ name: 'own', user: { token } }], contexts, 'current-context': 'own' };
  await writeFile(path, JSON.stringify(config));
  return path;
}

/** Definitions, namespaces and rights that every test here has. */
export async function prepare(server: ApiServer): Promise<void> {
  await server.kubectl('apply', '--server-side', '-f', 'config/crds');
  await server.kubectl('wait', '--for=condition=established', 'crd', '--all');
  for (const name of [SYSTEM, 'shop']) await server.kubectl('create', 'namespace', name);
  await server.kubectl('apply', '-f', 'deploy/kubernetes/control-rbac.yaml', '-f', 'deploy/kubernetes/agent-rbac.yaml');
}

/** A pod that runs, as a kubelet would tell it. */
export async function runPod(server: ApiServer, name: string, ip: string, node = 'node-1'): Promise<void> {
  await server.apply(podDocument(name, node));
  const conditions = [{ type: 'Ready', status: 'True' }];
  const status = JSON.stringify({ status: { phase: 'Running', podIP: ip, podIPs: [{ ip }], conditions } });
  await server.kubectl('patch', 'pod', name, '-n', 'shop', '--subresource=status', '--type=merge', '-p', status);
}

function podDocument(name: string, node: string): string {
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name,
      namespace: 'shop',
      labels: { app: name },
      annotations: { 'ambient.istio.io/redirection': 'enabled' },
    },
    spec: { nodeName: node, serviceAccountName: 'default', containers: [{ name: 'app', image: 'none' }] },
  });
}

/** `type=status/reason` of each condition, joined; those of a route with the parent's name before. */
export async function conditionsOf(server: ApiServer, kind: string, name: string): Promise<string> {
  const object = JSON.parse(await server.kubectl('get', kind, name, '-n', 'shop', '-o', 'json')) as Told;
  const { conditions = [], parents = [] } = object.status ?? {};
  const text = (all: readonly Said[]): string => all.map(({ type, status, reason }) => `${type}=${status}/${reason}`).join(' ');
  return [text(conditions), ...parents.map((one) => `${one.parentRef.name}: ${text(one.conditions)}`)]
    .filter((one) => one !== '')
    .join('; ');
}

type Said = { type: string; status: string; reason: string };
type Told = { status?: { conditions?: Said[]; parents?: { parentRef: { name: string }; conditions: Said[] }[] } };

/** Waits until the conditions of an object match. */
export async function conditionsBecome(server: ApiServer, kind: string, name: string, wanted: RegExp): Promise<string> {
  let last = '';
  try {
    return await waitUntil(`conditions ${wanted}`, CONVERGE_MS, async () => {
      last = await conditionsOf(server, kind, name);
      return wanted.test(last) ? last : false;
    });
  } catch (cause) {
    throw new Error(`the conditions of ${kind} ${name} are ${last}`, { cause });
  }
}
