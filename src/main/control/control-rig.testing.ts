import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { SILENT_LOG } from '#model/effects/log.ts';
import { SILENT_MISHAPS } from '#model/effects/mishaps.ts';
import type { Authorization } from '#model/mesh/authorization.ts';
import type { MeshDelta } from '#model/mesh/mesh-state.ts';
import type { Service } from '#model/mesh/service.ts';
import type { Workload } from '#model/mesh/workload.ts';
import type { NodeGrant } from '#model/trust/grant.ts';
import type { WaypointConfig } from '#model/waypoint/config.ts';
import { systemClock } from '#platform/clock.ts';
import type { ControlEndpoint } from '#platform/grpc/control-channel.ts';
import { DiscoveryClient } from '#platform/grpc/discovery-client.ts';
import { type RunningControl, type StartControlOptions, startControl } from './control-process.ts';

/** A service and its one pod on node-1. */
export const SHOP = `
apiVersion: v1
kind: Service
metadata: { name: ratings, namespace: shop }
spec:
  clusterIP: 10.96.0.9
  selector: { app: ratings }
  ports: [{ name: http, port: 80, targetPort: 8080 }]
---
apiVersion: v1
kind: Pod
metadata:
  name: ratings-1
  namespace: shop
  labels: { app: ratings }
  annotations: { ambient.istio.io/redirection: enabled }
spec: { nodeName: node-1, serviceAccountName: ratings, containers: [{ name: app, image: none }] }
status: { phase: Running, podIP: 10.1.0.7, conditions: [{ type: Ready, status: 'True' }] }
`;
/** A policy that denies one service account at that pod. */
export const DENY = `
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: deny-reviews, namespace: shop }
spec:
  action: DENY
  selector: { matchLabels: { app: ratings } }
  rules: [{ from: [{ source: { principals: [cluster.local/ns/shop/sa/reviews] } }] }]
`;
/** Their names in discovery. */
export const POD_UID = 'Kubernetes//Pod/shop/ratings-1';
export const SERVICE_KEY = 'shop/ratings.shop.svc.cluster.local';

/** Directories of one control plane, gone after the test, and what runs over them. */
export async function place(t: TestContext) {
  const root = await mkdtemp(join(tmpdir(), 'weft-control-'));
  const running: RunningControl[] = [];
  // In one hook, as hooks run in the order in which they were made: what still runs writes into its directories.
  t.after(async () => {
    for (const control of running) await control.stop({ waypoints: false });
    await rm(root, { recursive: true, force: true });
  });
  const configDir = await mkdtemp(join(root, 'config-'));
  await writeFile(join(configDir, 'shop.yaml'), SHOP);
  return { configDir, stateDir: join(root, 'state'), socketPath: join(root, 'run', 'control.sock'), running };
}

/** Directories of one control plane. */
export type Place = Awaited<ReturnType<typeof place>>;

/** A control plane that serves until the test ends. */
export async function started(
  { running, ...directories }: Place,
  changes: Partial<StartControlOptions> = {},
): Promise<RunningControl> {
  const control = await startControl({
    ...directories,
    listen: { host: '127.0.0.1', port: 0 },
    serverNames: [],
    trustDomain: 'cluster.local',
    waypointRunner: null,
    stats: null,
    version: '1',
    log: SILENT_LOG,
    ...changes,
  });
  running.push(control);
  return control;
}

/** The port it listens on. */
export function portOf({ address }: RunningControl): number {
  return Number(address.slice(address.lastIndexOf(':') + 1));
}

/** A node that may run anything. */
export const ANYTHING: NodeGrant = { identities: ['*/*'], addresses: ['0.0.0.0/0', '::/0'], waypoints: true };

/** How the agent of a node reaches it. */
export async function endpointOf(control: RunningControl, node: string, grant = ANYTHING): Promise<ControlEndpoint> {
  const token = await control.mintAgentToken(node, grant);
  return {
    address: control.address,
    rootsPem: async () => control.rootsPem,
    token: async () => token,
    serverName: null,
    clusterId: 'Kubernetes',
  };
}

/** The node id of every client here. */
export const AGENT_ID = 'ztunnel~10.0.0.1~agent.istio-system~istio-system.svc.cluster.local';

/** An agent's discovery client, with the mesh as it knows it and each delta it was told. */
export function follower(
  t: TestContext,
  endpoint: ControlEndpoint,
  options: { node?: string; waypoint?: string; metadata?: Record<string, string> } = {},
) {
  const workloads = new Map<string, Workload>();
  const services = new Map<string, Service>();
  const policies = new Map<string, Authorization>();
  const deltas: MeshDelta[] = [];
  const configs: (WaypointConfig | null)[] = [];
  const watchers = new Set<() => void>();
  const told = () => {
    for (const watcher of [...watchers]) watcher();
  };
  let connects = 0;
  const client = new DiscoveryClient({
    endpoint,
    node: { id: AGENT_ID, metadata: { NAMESPACE: 'istio-system', NODE_NAME: options.node ?? 'node-1', ...options.metadata } },
    waypoint: options.waypoint ?? null,
    clock: systemClock,
    log: SILENT_LOG,
    mishaps: SILENT_MISHAPS,
    onMesh(delta) {
      deltas.push(delta);
      merge(workloads, delta.workloads);
      merge(services, delta.services);
      merge(policies, delta.policies);
      told();
    },
    onWaypointConfig(config) {
      configs.push(config);
      told();
    },
    onConnected() {
      connects += 1;
      told();
    },
  });
  /** Resolves when the client knows what `known` asks for. */
  const until = (known: () => boolean) =>
    new Promise<void>((resolve) => {
      // Timers of the real clock do not keep a process alive that waits for a server to come back.
      const alive = setInterval(() => {}, 1_000);
      const watcher = () => {
        if (!known()) return;
        clearInterval(alive);
        watchers.delete(watcher);
        resolve();
      };
      watchers.add(watcher);
      watcher();
    });
  t.after(() => client.stop());
  client.start();
  return { client, workloads, services, policies, deltas, configs, until, connects: () => connects };
}

function merge<Value>(map: Map<string, Value>, changes: ReadonlyMap<string, Value | null>): void {
  for (const [key, value] of changes) {
    if (value === null) map.delete(key);
    else map.set(key, value);
  }
}

/** Closes them when the test ends. */
export function closeAfter(t: TestContext, ...closables: { close(): void }[]): void {
  t.after(() => {
    for (const closable of closables) closable.close();
  });
}

/** Waits for something that has no event of its own, by turns of the event loop: what it waits for comes through sockets. */
export async function eventually(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setImmediate(resolve));
}
