import assert from 'node:assert/strict';
import { parseIp } from '#model/address/ip.ts';
import { SILENT_LOG } from '#model/effects/log.ts';
import type { SoughtNamespace } from '#model/mesh/pod-namespace.ts';
import { UNSPREAD } from '#model/resilience/retry.ts';
import type { EnrollmentRequest } from '#node-agent/enrollment/enrollment.ts';
import { SteppedClock } from '#platform/stepped-clock.testing.ts';
import type { ClusterListener, FollowedKind } from '#protocol/kubernetes/following.ts';
import type { KubeObject } from '#protocol/kubernetes/objects.ts';
import type { PodAgent, PodEffects } from './pod-effects.ts';
import { NOT_ASKED, type PodNetwork, type PodSandbox } from './pod-network.ts';
import { PodWorkloads } from './pod-workloads.ts';

/** The label by which pods and namespaces are in the mesh. */
export const MODE = 'istio.io/dataplane-mode';
/** The annotation that says so. */
export const MARK = 'ambient.istio.io/redirection';

/** What the API server tells of a pod. */
export type Told = {
  uid?: string;
  ip?: string;
  mode?: string;
  phase?: string;
  account?: string;
  hostNetwork?: boolean;
  marked?: boolean;
  annotations?: Record<string, string>;
};

function aPod(
  name: string,
  { uid = `uid-${name}`, ip = '10.1.0.1', mode, phase = 'Running', account, hostNetwork, marked, annotations = {} }: Told,
) {
  return {
    ...{ apiVersion: 'v1', kind: 'Pod' },
    metadata: {
      ...{ name, namespace: 'shop', uid },
      labels: mode === undefined ? {} : { [MODE]: mode },
      annotations: { ...annotations, ...(marked === true ? { [MARK]: 'enabled' } : {}) },
    },
    spec: { serviceAccountName: account, hostNetwork },
    status: { phase, podIPs: ip === '' ? [] : [{ ip }] },
  };
}

function aNamespace(mode?: string): KubeObject {
  const labels: Record<string, string> = mode === undefined ? {} : { [MODE]: mode };
  return { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'shop', labels } };
}

/** An API server, an agent and a node in memory. `saved`: what a former agent has left. */
export function setUp({ saved = [] as EnrollmentRequest[] } = {}) {
  const clock = new SteppedClock();
  const seen = {
    steps: [] as string[],
    warned: [] as string[],
    listed: [] as string[],
    saved,
    requests: [] as EnrollmentRequest[],
  };
  const fails = { enroll: new Set<string>(), mark: 0, list: 0, follow: [] as string[] };
  const asked: { add(sandbox: PodSandbox): Promise<void> } = { add: () => Promise.reject(new Error('nobody is asked')) };
  const places = new Map<string, SoughtNamespace>();
  let listener: ClusterListener | null = null;
  let kinds: FollowedKind[] = [];
  let daemonSets = (_object: KubeObject | null): void => {};
  const all = Promise.withResolvers<void>();
  const agent = anAgent(seen, fails.enroll);
  const effects: PodEffects = {
    node: 'node-a',
    follow(wanted, told) {
      const [first] = wanted.keys();
      if (first?.kind === 'DaemonSet') {
        daemonSets = (object) =>
          void told.changed(first, [{ key: 'weft-agent', object: object === null ? null : first.keep(object) }]);
        return { told: Promise.resolve(), problems: () => [], close: () => {} };
      }
      listener = told;
      kinds = [...wanted.keys()];
      return { told: all.promise, problems: () => fails.follow, close: () => void seen.steps.push('closed') };
    },
    async locate(pods) {
      return new Map(pods.map(({ uid, name }) => [uid, places.get(uid) ?? { path: `/n/${name}`, inode: name.length }]));
    },
    seek: async ({ name }) => void seen.steps.push(`seek ${name}`),
    async mark({ name }, captured) {
      if (fails.mark-- > 0) throw new Error('away');
      seen.steps.push(`${captured ? 'mark' : 'unmark'} ${name}`);
    },
    warn: ({ name }, text) => void seen.warned.push(`${name}: ${text}`),
    network: aNetwork(seen, fails, asked),
    expectedUid: ({ namespace, name }) => `k//Pod/${namespace}/${name}`,
    store: aStore(seen, saved),
    ...{ clock, random: UNSPREAD, log: SILENT_LOG },
  };
  const pods = new PodWorkloads(agent, effects);
  const tell = async (kindName: 'Pod' | 'Namespace', key: string, object: KubeObject | null): Promise<void> => {
    const kind = kinds.find(({ kind: name }) => name === kindName);
    assert.ok(kind !== undefined && listener !== null, 'it follows');
    await listener.changed(kind, [{ key, object: object === null ? null : kind.keep(object) }]);
    await settle();
  };
  return {
    ...{ pods, seen, fails, places, clock, agent },
    namespace: (mode?: string) => tell('Namespace', 'shop', aNamespace(mode)),
    pod: (name: string, told: Told = {}) => tell('Pod', `shop/${name}`, aPod(name, told)),
    daemonSet: (object: KubeObject | null) => daemonSets(object),
    gone: (name: string) => tell('Pod', `shop/${name}`, null),
    /** Its runtime has made the network of a pod, and asks. */
    starts: (name: string, more: Parameters<typeof aSandbox>[1] = {}) => asked.add(aSandbox(name, more)),
    /** Everything there is was told. */
    async all() {
      all.resolve();
      await settle();
    },
    /** The steps since the last time. */
    steps: () => seen.steps.splice(0),
  };
}

/** Lets everything happen that waits for nothing else. */
export const settle = async (): Promise<void> => {
  for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve));
};

/** With a namespace that is in the mesh, and nothing else. */
export async function inMesh(mode: string | undefined = 'ambient') {
  const rig = setUp();
  await rig.pods.restore();
  rig.pods.watch();
  await rig.namespace(mode);
  await rig.all();
  rig.steps();
  return rig;
}

type Seen = { steps: string[]; listed: string[]; requests: EnrollmentRequest[] };

/** Takes in whom it is asked for, but for those of these names. */
function anAgent(seen: Seen, refused: ReadonlySet<string>): PodAgent {
  return {
    async enroll(request, starts) {
      if (refused.has(request.name)) throw new Error('EADDRINUSE');
      seen.steps.push(`enroll ${request.name}${starts ? ' before it runs' : ''}`);
      seen.requests.push(request);
      return {} as never;
    },
    lastBytes: async (uid) => void seen.steps.push(`last bytes ${uid}`),
    leave: (uid) => void seen.steps.push(`leave ${uid}`),
    succession: { releaseLeftovers: () => void seen.steps.push('leftovers') },
  };
}

/** Where requests of a former agent are. */
function aStore(seen: object, saved: EnrollmentRequest[]): PodEffects['store'] {
  return { load: async () => saved, save: async (now) => void Object.assign(seen, { saved: now }) };
}

/** Where runtimes ask. */
function aNetwork(seen: Seen, fails: { list: number }, asked: { add(sandbox: PodSandbox): Promise<void> }): PodNetwork {
  return {
    ...NOT_ASKED,
    async open(add) {
      asked.add = add;
    },
    async list(names) {
      if (fails.list-- > 0) throw new Error('no room is left on its file system');
      seen.listed.push(names.join());
    },
    close: () => void seen.steps.push('not asked any more'),
    remove: async () => void seen.steps.push('out of the chain'),
  };
}

function aSandbox(name: string, { uid = `uid-${name}`, ip = '10.1.0.1' }): PodSandbox {
  return { pod: { namespace: 'shop', name, uid }, addresses: [parseIp(ip)], place: { path: `/n/${name}`, inode: name.length } };
}
