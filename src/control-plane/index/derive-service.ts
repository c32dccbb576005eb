import { appProtocolOf } from '#control-plane/index/app-protocol.ts';
import type { GatewayInfo } from '#control-plane/index/gateway-info.ts';
import { loadBalancingOf } from '#control-plane/index/load-balancing.ts';
import { type MeshOptions, serviceHostname } from '#control-plane/index/mesh-options.ts';
import { LABEL, MANAGED_BY_WEFT, MANAGED_VALUES } from '#control-plane/index/well-known.ts';
import type { ServicePortResource, ServiceResource } from '#control-plane/resources/kinds/service.ts';
import type { Labels } from '#control-plane/resources/metadata.ts';
import type { Family, IpAddress } from '#model/address/ip.ts';
import { PORT } from '#model/mesh/ports.ts';
import type { GatewayAddress, Service, ServicePort } from '#model/mesh/service.ts';

/** What a service takes from the resources around it. */
export type ServiceFacts = {
  addresses: readonly IpAddress[];
  namespaceAnnotations: Labels;
  waypoint: GatewayAddress | null;
};

/** The service as workload discovery describes it. */
export function serviceOf(resource: ServiceResource, facts: ServiceFacts, options: MeshOptions): Service {
  const { name, namespace } = resource.metadata;
  return {
    name,
    namespace,
    hostname: serviceHostname(namespace, name, options),
    addresses: facts.addresses,
    ports: onePerNumber(resource.ports).map(toPort),
    subjectAltNames: [],
    waypoint: facts.waypoint,
    loadBalancing: loadBalancingOf(resource, facts.namespaceAnnotations),
    ipFamilies: familiesOf(resource.ipFamilies),
    canonical: true,
    namespaceOnly: false,
  };
}

function toPort(port: ServicePortResource): ServicePort {
  const targetPort = typeof port.target === 'number' ? port.target : 0;
  return { servicePort: port.port, targetPort, appProtocol: appProtocolOf(port) };
}

/** One entry per port number: where TCP and UDP share one (DNS does), TCP speaks for both. */
export function onePerNumber(ports: readonly ServicePortResource[]): ServicePortResource[] {
  const byNumber = new Map<number, ServicePortResource>();
  for (const port of ports) {
    const known = byNumber.get(port.port);
    if (known === undefined || (known.protocol !== 'TCP' && port.protocol === 'TCP')) byNumber.set(port.port, port);
  }
  return [...byNumber.values()];
}

function familiesOf(families: readonly Family[]): Service['ipFamilies'] {
  const distinct = new Set(families);
  if (distinct.size === 2) return 'dual';
  if (distinct.has(4)) return 'ipv4';
  return distinct.has(6) ? 'ipv6' : 'automatic';
}

/** Families that an allocated service gets an address of; none when the user gave addresses or wants none. */
export function familiesToAllocate({ headless, addresses, ipFamilies }: ServiceResource): readonly Family[] {
  if (headless || addresses.length > 0) return [];
  return ipFamilies.length > 0 ? [...new Set(ipFamilies)] : [4, 6];
}

/** What a mesh controller generated (the service of a waypoint, say) is never sent through a waypoint. */
export function isGenerated({ metadata }: ServiceResource): boolean {
  return MANAGED_VALUES.includes(metadata.labels[LABEL.managed] ?? '');
}

/** The service by which a waypoint that Weft runs is reached; its endpoints carry the Gateway's name. */
export function waypointService(gateway: GatewayInfo): ServiceResource {
  const { namespace, name } = gateway;
  const labels = waypointLabels(gateway);
  return {
    kind: 'Service',
    metadata: { name, namespace, labels, annotations: {}, createdAtMs: null, deleting: false },
    externalName: false,
    headless: false,
    addresses: [],
    ipFamilies: [],
    selector: { [LABEL.gatewayName]: name },
    ports: [{ name: 'mesh', port: PORT.hbone, target: PORT.hbone, protocol: 'TCP', appProtocol: null }],
    nodeLocal: false,
    trafficDistribution: null,
    publishNotReadyAddresses: false,
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
