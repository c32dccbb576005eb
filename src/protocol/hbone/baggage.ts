import type { Workload } from '#model/mesh/workload.ts';

/** The `baggage` header that describes a workload to its peer; telemetry only (spec node-proxy 2.2). */
export function formatBaggage(workload: Workload, clusterName: string): string {
  const parts: [string, string][] = [
    ['k8s.cluster.name', clusterName],
    ['k8s.namespace.name', workload.namespace],
    ['k8s.pod.name', workload.workloadName],
    ['service.name', workload.canonicalName],
    ['service.version', workload.canonicalRevision],
    ['cloud.region', workload.locality.region],
    ['cloud.availability_zone', workload.locality.zone],
  ];
  return parts.filter(([, value]) => value !== '').map(([key, value]) => `${key}=${value}`).join(',');
}
