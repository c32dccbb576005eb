import type { ClusterKind } from '#control-plane/resources/cluster-kind.ts';

type Pod = {
  spec?: {
    nodeName?: string;
    serviceAccountName?: string;
    hostNetwork?: boolean;
    containers?: Container[];
    initContainers?: Container[];
  };
  status?: { phase?: string; podIP?: string; podIPs?: unknown[]; conditions?: { type?: string; status?: string }[] };
};
type Container = { ports?: ContainerPort[]; restartPolicy?: string };
type ContainerPort = { name?: string | undefined; containerPort?: number | undefined; protocol?: string | undefined };

/** Pods of a cluster: there are many, and a tenth of each is read. */
export const POD_IN_CLUSTER: ClusterKind = {
  // One that has ended is no endpoint.
  fieldSelector: 'status.phase!=Failed,status.phase!=Succeeded',
  readStatus: (status) => status,
  keep(object) {
    const { spec = {}, status = {} } = object as Pod;
    // Without an address it is nothing to the mesh yet, which is no mistake of anybody's.
    if (status.podIP === undefined || status.podIP === '') return null;
    const { nodeName, serviceAccountName, hostNetwork, containers = [], initContainers = [] } = spec;
    const sidecars = initContainers.filter(({ restartPolicy }) => restartPolicy === 'Always');
    const ready = (status.conditions ?? []).filter(({ type }) => type === 'Ready');
    return {
      spec: { nodeName, serviceAccountName, hostNetwork, containers: portsOf(containers), initContainers: portsOf(sidecars) },
      status: {
        phase: status.phase,
        podIP: status.podIP,
        podIPs: status.podIPs,
        conditions: ready.map(({ type, status: is }) => ({ type, status: is })),
      },
    };
  },
};

/** Ports by name are all that is asked of containers. */
function portsOf(containers: readonly Container[]): Container[] {
  return containers.flatMap(({ ports = [], restartPolicy }) => {
    const named = ports
      .filter(({ name }) => name !== undefined)
      .map(({ name, containerPort, protocol }) => ({ name, containerPort, protocol }));
    return named.length === 0 ? [] : [{ ports: named, ...(restartPolicy === undefined ? {} : { restartPolicy }) }];
  });
}
