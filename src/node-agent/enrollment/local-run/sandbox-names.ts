import { createHash } from 'node:crypto';
import { type Cidr, tryParseCidr } from '#model/address/ip.ts';
import type { WorkloadKey } from './workload-key.ts';

/** Name of a node's bridge. Interface names have 15 characters; the hash keeps nodes of one kernel apart. */
export function bridgeName(node: string): string {
  return `weft-${createHash('sha256').update(node).digest('hex').slice(0, 8)}`;
}

/** Where short names of a workload are looked up, nearest first: the order in which Kubernetes has them. */
export function searchDomains(namespace: string, clusterDomain: string): string[] {
  return [`${namespace}.svc.${clusterDomain}`, `svc.${clusterDomain}`, clusterDomain];
}

/**
 * Ranges that sandboxes reach under their own addresses; null: they are translated nowhere, and reach only what routes
 * back to the pools. What is no range is left out: the command line has refused it before.
 */
export function egressNat(noNatFor: readonly string[] | null): { excluded: Cidr[] } | null {
  return noNatFor === null ? null : { excluded: noNatFor.flatMap((text) => tryParseCidr(text) ?? []) };
}

/** The uid that the control plane will give a workload; known beforehand, so that it can be enrolled while that is away. */
export function expectedUid(clusterId: string, { namespace, name }: WorkloadKey): string {
  return `${clusterId}/weft.dev/Workload/${namespace}/${name}`;
}
