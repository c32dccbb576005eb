import { messageOf } from '#model/error.ts';
import type { FollowedKind } from '#protocol/kubernetes/following.ts';
import type { KubeObject, ServedKind } from '#protocol/kubernetes/objects.ts';
import type { PodEffects } from './pod-effects.ts';

/** What runs the agents, by its name in deploy/kubernetes. */
const DAEMON_SET: FollowedKind = {
  ...{ group: 'apps', kind: 'DaemonSet', versions: ['v1'], builtIn: true, metadataOnly: true },
  ...{ namespace: 'istio-system', fieldSelector: 'metadata.name=weft-agent' },
  keep: ({ apiVersion, kind, metadata: { name, uid = '', deletionTimestamp } }: KubeObject): KubeObject => ({
    ...{ apiVersion, kind },
    metadata: { name, uid, ...(deletionTimestamp === undefined ? {} : { deletionTimestamp }) },
  }),
};
const DAEMON_SETS: ServedKind = { group: 'apps', version: 'v1', kind: 'DaemonSet', plural: 'daemonsets', namespaced: true };

/**
 * Whether the mesh is taken away from the cluster. `gone` is called once, when what runs the agents was there and is deleted: never
 * because an agent is told to end, as it is at an update, or because it was not found or could not be asked for. Returns what ends that.
 */
export function followInstallation({ follow, log }: Pick<PodEffects, 'follow' | 'log'>, gone: () => void): () => void {
  let isGone = false;
  const watch = follow(new Map([[DAEMON_SET, DAEMON_SETS]]), {
    changed(_kind, changes) {
      for (const { object } of changes) {
        if (isGone || (object !== null && object.metadata.deletionTimestamp === undefined)) continue;
        isGone = true;
        log.info({}, 'what runs the agents was deleted: this node leaves the mesh');
        gone();
      }
    },
    trouble: (problem) => log.warn({ error: messageOf(problem) }, 'it would not be seen now if the mesh were taken away'),
  });
  return () => watch.close();
}
