import type { ServiceResource } from '#control-plane/mesh/services.ts';
import type { GatewayInfo } from '#control-plane/mesh/waypoints.ts';
import { LABEL, MANAGED_BY_WEFT } from '#control-plane/mesh/well-known.ts';
import type { Labels } from '#control-plane/resources/metadata.ts';
import { PORT } from '#model/mesh/ports.ts';

/** The service by which a waypoint that Weft runs is reached; its endpoints carry the Gateway's name. */
export function waypointService(gateway: GatewayInfo): ServiceResource {
  const { namespace, name } = gateway;
  const labels = waypointLabels(gateway);
  return {
    kind: 'Service',
    // No age: between two services of one name the user's counts anyway.
    metadata: { name, namespace, labels, annotations: {}, createdAtMs: null, deleting: false },
    externalName: null,
    headless: false,
    addresses: [],
    ipFamilies: [],
    // Its endpoints are whatever carries the name of the Gateway.
    selector: { [LABEL.gatewayName]: name },
    ports: [{ name: 'mesh', port: PORT.hbone, target: PORT.hbone, protocol: 'TCP', appProtocol: null }],
    nodeLocal: false,
    trafficDistribution: null,
    publishNotReadyAddresses: false,
    affinityTimeoutS: 0,
  };
}

/** Labels of everything that belongs to a waypoint that Weft runs. */
export function waypointLabels({ name, className }: GatewayInfo): Labels {
  return {
    [LABEL.gatewayName]: name,
    [LABEL.gatewayClassName]: className,
    [LABEL.managed]: MANAGED_BY_WEFT,
    [LABEL.canonicalName]: name,
    [LABEL.canonicalRevision]: 'latest',
  };
}
