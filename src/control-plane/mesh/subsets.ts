import type { MeshReader } from '#control-plane/index/derivation.ts';
import { tableOf } from '#control-plane/index/table.ts';
import { ENDPOINTS } from '#control-plane/mesh/endpoints.ts';
import type { NamedHost } from '#control-plane/mesh/named-hosts.ts';
import { compareText, type Labels } from '#control-plane/resources/metadata.ts';
import type { ServiceKey } from '#model/mesh/service.ts';
import type { ServiceSubset } from '#model/waypoint/virtual.ts';

/** Endpoints that are written in a ServiceEntry, by uid, with the hosts they are behind. */
export const WRITTEN_ENDPOINTS = tableOf<{ uid: string; services: readonly ServiceKey[]; labels: Labels }>()(
  'written-endpoints',
  {
    by: { service: ({ services }) => services },
  },
);

/** Which endpoints of a service are meant by a name. */
export type SubsetPick = { service: ServiceKey; name: string; namespace: string; selector: Labels | null; labels: Labels };

/** Tables that endpoints are picked from. */
export const SUBSET_TABLES = [ENDPOINTS, WRITTEN_ENDPOINTS] as const;

/** Those endpoints of a host that have the labels. */
export function pickOf({ key, namespace, selector }: NamedHost, name: string, labels: Labels): SubsetPick {
  return { service: key, name, namespace, selector, labels };
}

/** The uids of the endpoints, in order, so that a configuration does not change with the order in which they came. */
export function membersOf(
  { service, name, namespace, selector, labels }: SubsetPick,
  mesh: MeshReader<(typeof SUBSET_TABLES)[number]>,
): ServiceSubset {
  const written = mesh.valuesBy(WRITTEN_ENDPOINTS, 'service', service).filter((one) => hasAll(one.labels, labels));
  const contradicts = selector !== null && Object.entries(labels).some(([key, value]) => (selector[key] ?? value) !== value);
  const picked = selector === null || contradicts ? [] : mesh.pickedBy(ENDPOINTS, namespace, { ...selector, ...labels });
  return { service, name, endpoints: [...written, ...picked].map(({ uid }) => uid).sort(compareText) };
}

/** As selectors compare. */
function hasAll(labels: Labels, wanted: Labels): boolean {
  return Object.entries(wanted).every(([key, value]) => labels[key] === value);
}
