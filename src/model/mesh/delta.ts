import type { Authorization, PolicyKey } from '#model/mesh/authorization.ts';
import type { Service, ServiceKey } from '#model/mesh/service.ts';
import type { Workload } from '#model/mesh/workload.ts';

/** A change of the mesh: key → new value, or null when it is gone. */
export type MeshDelta = {
  workloads: ReadonlyMap<string, Workload | null>;
  services: ReadonlyMap<ServiceKey, Service | null>;
  policies: ReadonlyMap<PolicyKey, Authorization | null>;
};
