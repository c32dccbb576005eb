import type { Command } from 'commander';
import { WeftError } from '#model/error.ts';
import { KUBERNETES } from '#model/settings/kubernetes.ts';
import { rolloutOf, withImage } from '#protocol/kubernetes/manifest.ts';
import type { KubeObject } from '#protocol/kubernetes/objects.ts';
import { type Act, makeCommand } from './command.ts';

/** What `weft install` and `weft upgrade` are told. `image` null: that of the manifests. */
export type InstallOptions = { kubeconfig: string; image: string | null; isUpgrade: boolean };

const KUBECONFIG = ['--kubeconfig <file>', 'the cluster, and the rights to change it'] as const;
const IMAGE = ['--image <reference>', 'the image of Weft, as its nodes pull it'] as const;

type Parsed = { kubeconfig: string; image?: string };

/** `weft install`: puts the mesh onto a cluster. */
export function installCommand(act: Act<InstallOptions>): Command {
  return makeCommand('install', 'Mesh:', 'Install the mesh on a Kubernetes cluster', [
    { command: 'weft install --kubeconfig ~/.kube/config --image registry.example/weft:0.1.0', does: 'control plane and agents' },
  ])
    .description(
      'Install the control plane and the agents on a Kubernetes cluster, from the manifests of deploy/kubernetes, and wait until they are ready. Pods are in the mesh once their namespace has the label istio.io/dataplane-mode. What is there already is made as the manifests say, and nothing else is touched; a chart for Helm has the same objects, with values.',
    )
    .requiredOption(...KUBECONFIG)
    .option(...IMAGE)
    .action(({ kubeconfig, image }: Parsed) => act({ kubeconfig, image: image ?? null, isUpgrade: false }));
}

/** `weft upgrade`: another version of the mesh of a cluster. */
export function upgradeCommand(act: Act<InstallOptions>): Command {
  return makeCommand('upgrade', 'Mesh:', 'Bring the mesh of a Kubernetes cluster to this version', [
    {
      command: 'weft upgrade --kubeconfig ~/.kube/config --image registry.example/weft:0.2.0',
      does: 'node by node, without a reset',
    },
  ])
    .description(
      'Bring control plane and agents of a Kubernetes cluster to the manifests of this version, and wait until those of it are ready. The next agent of a node is started beside the one that runs, which carries what it has to its end.',
    )
    .requiredOption(...KUBECONFIG)
    .option(...IMAGE)
    .action(({ kubeconfig, image }: Parsed) => act({ kubeconfig, image: image ?? null, isUpgrade: true }));
}

/** What installing asks of a cluster and does to it. Errors of each: those of the API server. */
export type ClusterEffects = {
  /** Null: it is not there. */
  get(object: KubeObject): Promise<KubeObject | null>;
  apply(object: KubeObject): Promise<void>;
  /** False: there was none. */
  remove(object: KubeObject): Promise<boolean>;
  /** Names of pods of the mesh's namespace with this label `app`. */
  podsOf(app: string): Promise<readonly string[]>;
  /** Takes the mark that they are captured from all pods that have it; returns how many. */
  unmark(): Promise<number>;
  pause(ms: number): Promise<void>;
  nowMs(): number;
  tell(line: string): void;
};

/** Fixed by deploy/kubernetes. */
const MANIFEST_IMAGE = 'localhost/weft:0.1.0';
const AGENTS = 'weft-agent';
const ROLLED: ReadonlySet<string> = new Set(['Deployment', 'DaemonSet']);
/** What `uninstall` leaves: what the control plane has kept, and objects of users. */
const STAYS: ReadonlySet<string> = new Set(['Namespace', 'CustomResourceDefinition']);

/**
 * Applies the manifests in their order and waits until everything of them is ready. Errors: WEFT_CLUSTER_ABSENT when there is nothing to
 * upgrade, WEFT_CLUSTER_WAITS when it does not become ready, those of the API server.
 */
export async function installMesh(
  { image, isUpgrade }: InstallOptions,
  manifests: readonly KubeObject[],
  effects: ClusterEffects,
): Promise<void> {
  const objects = manifests.map((object) => withImage(object, MANIFEST_IMAGE, image ?? MANIFEST_IMAGE));
  const rolled = objects.filter(({ kind }) => ROLLED.has(kind));
  if (isUpgrade) {
    const found = await Promise.all(rolled.map((object) => effects.get(object)));
    if (found.includes(null))
      throw new WeftError('WEFT_CLUSTER_ABSENT', 'there is no mesh on this cluster, or only a part of it', {
        remedy: 'weft install puts it there',
      });
  }
  for (const object of objects) await effects.apply(object);
  effects.tell(`applied: ${objects.length} objects`);
  for (const object of rolled) {
    const what = `${object.kind} ${object.metadata.name}`;
    await until(effects, `${what} is not ready`, async () => {
      const now = await effects.get(object);
      const { wanted, ready } = now === null ? { wanted: 1, ready: 0 } : rolloutOf({ ...now, kind: object.kind });
      return ready >= wanted;
    });
    effects.tell(`${what}: ready`);
  }
}

/**
 * Takes the mesh off a cluster: the agents first, and the rest when each of them has left its node and unmarked its pods, for which they need
 * their rights. Errors: WEFT_CLUSTER_WAITS when agents do not end, those of the API server.
 */
export async function removeMesh(manifests: readonly KubeObject[], effects: ClusterEffects): Promise<void> {
  const last = manifests.toReversed().filter(({ kind }) => !STAYS.has(kind));
  const agents = last.filter(({ kind }) => kind === 'DaemonSet');
  let removed = 0;
  for (const object of agents) if (await effects.remove(object)) removed++;
  await until(effects, 'agents have not ended', async () => (await effects.podsOf(AGENTS)).length === 0);
  if (removed > 0) effects.tell('agents: have left their nodes');
  for (const object of last) if (!agents.includes(object) && (await effects.remove(object))) removed++;
  // Of an agent that was killed, and of those that somebody took the rights from before.
  const marks = await effects.unmark();
  if (marks > 0) effects.tell(`marks of pods that were left: ${marks} removed`);
  effects.tell(removed === 0 ? 'nothing to remove' : `removed: ${removed} objects`);
}

async function until(effects: ClusterEffects, what: string, isSo: () => Promise<boolean>): Promise<void> {
  const untilMs = effects.nowMs() + KUBERNETES.rolloutMs;
  while (!(await isSo())) {
    if (effects.nowMs() >= untilMs)
      throw new WeftError('WEFT_CLUSTER_WAITS', `${what} after ${KUBERNETES.rolloutMs / 1_000} s`, {
        remedy: 'weft check --kubeconfig FILE says why; run this again, which goes on where it stopped',
      });
    await effects.pause(KUBERNETES.rolloutLookMs);
  }
}
