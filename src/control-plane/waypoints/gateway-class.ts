import { CONTROLLER_NAME, WAYPOINT_CLASSES } from '#control-plane/mesh/well-known.ts';
import type { ServedKind } from '#protocol/kubernetes/objects.ts';
import type { ObjectWriter } from '#protocol/kubernetes/writing.ts';

const GATEWAY_CLASSES: ServedKind = {
  ...{ group: 'gateway.networking.k8s.io', version: 'v1' },
  ...{ kind: 'GatewayClass', plural: 'gatewayclasses', namespaced: false },
};

/**
 * Makes the class whose Gateways are waypoints where there is none: people see it among the classes that they can choose from. One
 * that is there stays as it is. Errors: those of the API server, which has no such kind without the Gateway API.
 */
export async function keepGatewayClass(writer: Pick<ObjectWriter, 'get' | 'create'>): Promise<void> {
  const [name = ''] = WAYPOINT_CLASSES;
  if ((await writer.get(GATEWAY_CLASSES, { namespace: '', name })) !== null) return;
  const { group, version, kind } = GATEWAY_CLASSES;
  const spec = { controllerName: CONTROLLER_NAME, description: 'waypoints of the mesh, run by Weft' };
  await writer.create(GATEWAY_CLASSES, { apiVersion: `${group}/${version}`, kind, metadata: { name }, spec });
}
