import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { guardedClock } from '#model/effects/mishaps.ts';
import { REDIRECTION } from '#model/mesh/membership.ts';
import type { Agent } from '#node-agent/agent.ts';
import { workloadStore } from '#node-agent/enrollment/local-run/workload-store.ts';
import { type FollowedPod, PODS } from '#node-agent/enrollment/pods/followed-pod.ts';
import type { PodEffects } from '#node-agent/enrollment/pods/pod-effects.ts';
import { NOT_ASKED } from '#node-agent/enrollment/pods/pod-network.ts';
import { PodWorkloads } from '#node-agent/enrollment/pods/pod-workloads.ts';
import { type NodePaths, startsWorkloads } from '#node-agent/node-places.ts';
import { systemClock } from '#platform/clock.ts';
import { inClusterAccess } from '#platform/kubernetes/access.ts';
import { KubernetesConnection } from '#platform/kubernetes/connection.ts';
import { followBuiltIn } from '#platform/kubernetes/follow-cluster.ts';
import { KubernetesObjects } from '#platform/kubernetes/objects.ts';
import { podNamespaces } from '#platform/linux/netns/pod-namespaces.ts';
import { systemRandom } from '#platform/random.ts';
import { ObjectEvents } from '#protocol/kubernetes/object-events.ts';
import type { KubeObject } from '#protocol/kubernetes/objects.ts';
import type { AgentProcessOptions } from './effects.ts';
import type { Hosted, Hosting } from './hosting.ts';
import { sandboxHosting, stateFile } from './local-run.ts';
import { chainedNetwork } from './pod-network.ts';

/** By what the node has: sandboxes for what it starts itself, or the pods that others start. */
export function hostingOf(options: AgentProcessOptions, paths: NodePaths): Hosting {
  return startsWorkloads(options.place) ? sandboxHosting(options, paths) : podHosting(options, paths.workloads);
}

/** Pods are run by others: nothing is prepared for them, and nothing of them is held. */
function podHosting(options: AgentProcessOptions, file: string): Hosting {
  return {
    prepare: async () => {},
    holdAll: async () => {},
    releaseAll: async () => {},
    resume: async () => false,
    open: (agent) => openPods(agent, file, options),
  };
}

async function openPods(agent: Agent, file: string, options: AgentProcessOptions): Promise<Hosted> {
  const connection = new KubernetesConnection(await inClusterAccess(), options.version, 'weft-agent');
  connection.traffic.meter(agent.meters);
  const effects = podEffects(connection, file, options);
  const pods = new PodWorkloads(agent, effects);
  const close = (): void => {
    effects.network.close();
    connection.close();
  };
  return { local: pods, degraded: () => pods.degraded(), close };
}

function podEffects(connection: KubernetesConnection, file: string, options: AgentProcessOptions): PodEffects {
  const { place, control, log, mishaps } = options;
  const objects = new KubernetesObjects(connection);
  const clock = guardedClock(systemClock, mishaps);
  const newId = (): string => randomUUID().slice(0, 13);
  const events = new ObjectEvents({
    writer: objects,
    controller: 'weft.dev/agent',
    instance: hostname().slice(0, 128),
    newId,
    clock,
    log,
  });
  return {
    node: place.node,
    follow: (kinds, listener) => followBuiltIn({ connection, clock, random: systemRandom }, kinds, listener),
    locate: async (pods, all) => podNamespaces(pods, all),
    seek: ({ namespace, name }) => objects.get(PODS, { namespace, name }),
    async mark({ namespace, name, uid }, captured) {
      const metadata = { uid, annotations: { [REDIRECTION]: captured ? 'enabled' : null } };
      await objects.merge(PODS, { namespace, name }, { metadata }, 'status');
    },
    warn: (pod, text) => events.warn(objectOf(pod), PODS, 'NotInMesh', 'Enrol', text),
    // As the control plane names the pods of its cluster.
    expectedUid: ({ namespace, name }) => `${control.clusterId}//Pod/${namespace}/${name}`,
    network: options.cni === null ? NOT_ASKED : chainedNetwork(options.cni, { clock, random: systemRandom, log }),
    store: workloadStore(stateFile(file)),
    ...{ clock, random: systemRandom, log },
  };
}

function objectOf({ name, namespace, uid }: FollowedPod): KubeObject {
  return { apiVersion: 'v1', kind: 'Pod', metadata: { name, namespace, uid } };
}
