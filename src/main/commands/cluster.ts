import { setTimeout as pause } from 'node:timers/promises';
import { type ClusterEffects, type InstallOptions, installMesh, removeMesh } from '#cli/cluster.ts';
import { weftVersion } from '#main/commands/control-access.ts';
import { showProgress, tellResult } from '#main/commands/progress.ts';
import { systemClock } from '#platform/clock.ts';
import { ClusterMesh, readManifests } from '#platform/kubernetes/cluster-mesh.ts';
import { KubernetesConnection } from '#platform/kubernetes/connection.ts';
import { readKubeconfig } from '#platform/kubernetes/kubeconfig.ts';

/** `weft install` and `weft upgrade`. Errors: WEFT_CLUSTER_ABSENT, WEFT_CLUSTER_WAITS, those of the API server. */
export function install(options: InstallOptions): Promise<number> {
  return onCluster(options.kubeconfig, (effects) =>
    showProgress('installing the mesh', async () => installMesh(options, await readManifests(), effects)),
  );
}

/** `weft uninstall --kubeconfig`. Errors: WEFT_CLUSTER_WAITS, those of the API server. */
export function uninstall(kubeconfig: string): Promise<number> {
  return onCluster(kubeconfig, (effects) =>
    showProgress('taking the mesh away', async () => removeMesh(await readManifests(), effects)),
  );
}

async function onCluster(kubeconfig: string, act: (effects: ClusterEffects) => Promise<void>): Promise<number> {
  const connection = new KubernetesConnection(await readKubeconfig(kubeconfig), weftVersion(), 'weft-install');
  const mesh = new ClusterMesh(connection);
  try {
    await act({
      get: (object) => mesh.get(object),
      apply: (object) => mesh.apply(object),
      remove: (object) => mesh.remove(object),
      podsOf: (app) => mesh.podsOf(app),
      unmark: () => mesh.unmark(),
      pause, // whose timer keeps the process, which waits for nothing else
      nowMs: () => systemClock.monotonicMs(),
      tell: tellResult,
    });
    return 0;
  } finally {
    connection.close();
  }
}
