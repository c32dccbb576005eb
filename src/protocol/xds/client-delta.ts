import { unreachable } from '#model/error.ts';
import { type Authorization, type PolicyKey, policyKeyOf } from '#model/mesh/authorization.ts';
import type { MeshDelta } from '#model/mesh/delta.ts';
import { type Service, type ServiceKey, serviceKeyOf } from '#model/mesh/service.ts';
import type { Workload } from '#model/mesh/workload.ts';
import type { WaypointConfig } from '#model/waypoint/config.ts';
import type { ClientUpdate } from '#protocol/xds/client-session.ts';
import { waypointConfigName } from '#protocol/xds/waypoint-config.ts';

/** What a response means to the part that holds the mesh. waypoints: by `<namespace>/<gateway>`, null when gone. */
export type ClientDelta = { mesh: MeshDelta; waypoints: ReadonlyMap<string, WaypointConfig | null> };

/** Sorts one response's changes into the model's maps. */
export function deltaOf(update: ClientUpdate): ClientDelta {
  const workloads = new Map<string, Workload | null>();
  const services = new Map<ServiceKey, Service | null>();
  const policies = new Map<PolicyKey, Authorization | null>();
  const waypoints = new Map<string, WaypointConfig | null>();
  for (const resource of update.updated) {
    switch (resource.kind) {
      case 'workload':
        workloads.set(resource.workload.uid, resource.workload);
        break;
      case 'service':
        services.set(serviceKeyOf(resource.service), resource.service);
        break;
      case 'policy':
        policies.set(policyKeyOf(resource.policy), resource.policy);
        break;
      case 'waypoint-config':
        waypoints.set(waypointConfigName(resource.config), resource.config);
        break;
      default:
        unreachable(resource);
    }
  }
  const byKind = { workload: workloads, service: services, policy: policies, 'waypoint-config': waypoints };
  for (const { kind, key } of update.removed) byKind[kind].set(key, null);
  return { mesh: { workloads, services, policies }, waypoints };
}
