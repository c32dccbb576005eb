import { defineDerivation, type MeshReader } from '#control-plane/index/derivation.ts';
import { type MeshOptions, serviceHostname } from '#control-plane/index/mesh-options.ts';
import { OUTPUT, STATUS, statusOf } from '#control-plane/index/outputs.ts';
import { entry } from '#control-plane/index/table.ts';
import { RESERVED_ADDRESSES, reserve } from '#control-plane/index/vip-allocator.ts';
import { appProtocolOf } from '#control-plane/mesh/app-protocol.ts';
import { ATTACHED_L4_ROUTES, ATTACHED_TLS_ROUTES } from '#control-plane/mesh/attachments.ts';
import { addressKey, ENDPOINTS, endpointResource } from '#control-plane/mesh/endpoints.ts';
import { namespaceAnnotations } from '#control-plane/mesh/namespaces.ts';
import { bindingOfService, type ServiceBinding, waypointsIn } from '#control-plane/mesh/service-binding.ts';
import {
  SERVICE_BINDINGS,
  SERVICE_RANK,
  SERVICES,
  type ServicePortResource,
  type ServiceResource,
  USER_SERVICES,
} from '#control-plane/mesh/services.ts';
import { BINDING_TABLES, waypointCondition } from '#control-plane/mesh/waypoint-binding.ts';
import { GUARDS } from '#control-plane/mesh/waypoint-guards.ts';
import { ANNOTATION } from '#control-plane/mesh/well-known.ts';
import { type Problem, warningAt } from '#control-plane/resources/finding.ts';
import { byAge, type Labels } from '#control-plane/resources/metadata.ts';
import { nameOfResource } from '#control-plane/resources/resource.ts';
import { type Family, familyOf, type IpAddress } from '#model/address/ip.ts';
import { type L4Route, type LoadBalancing, type Service, type ServicePort, serviceKeyOf } from '#model/mesh/service.ts';
import { AFFINITY_TIMEOUT_S } from './check.ts';

/** Puts the services of users beside those of waypoints; their addresses are never given to another one. */
export const userServices = defineDerivation({
  name: 'user service',
  each: USER_SERVICES,
  reads: [],
  writes: [SERVICES, RESERVED_ADDRESSES],
  derive: ({ key, value }) => [entry(SERVICES, key, value, SERVICE_RANK.user), ...reserve(value.addresses)],
});

/** Which waypoint each service is bound to; told before what routes say of it. */
export const serviceBindings = defineDerivation({
  name: 'service binding',
  each: SERVICES,
  reads: [...BINDING_TABLES],
  writes: [SERVICE_BINDINGS],
  derive({ key, value: resource }, mesh) {
    const { gateway, canary } = bindingOfService(resource, mesh);
    const { namespace, name } = resource.metadata;
    const hostname = serviceHostname(namespace, name, mesh.options);
    if (gateway === null) return [];
    const owner = nameOfResource(resource);
    return [entry(SERVICE_BINDINGS, key, { gateway, canary: canary?.gateway ?? null, hostname, owner })];
  },
});

/** A service as workload discovery describes it, its waypoint, and what is to be said about both. */
export const services = defineDerivation({
  name: 'service',
  each: SERVICES,
  reads: [USER_SERVICES, RESERVED_ADDRESSES, ENDPOINTS, GUARDS, ATTACHED_L4_ROUTES, ATTACHED_TLS_ROUTES, ...BINDING_TABLES],
  writes: [OUTPUT.services, ...STATUS],
  derive({ key, value: resource }, mesh) {
    if (resource.externalName !== null) return [aliasOf(resource, resource.externalName, mesh.options)];
    const { namespace } = resource.metadata;
    const name = nameOfResource(resource);
    const binding = bindingOfService(resource, mesh);
    // Clients that dial endpoints one by one would go past the waypoint, and are refused there: they get an address to dial.
    const isRestricted = mesh.get(GUARDS, key)?.restricts === true;
    const { addresses, problems } = addressesOf(key, { ...resource, headless: resource.headless && !isRestricted }, mesh);
    if (binding.problem !== null) problems.push(binding.problem);
    if (binding.address !== null && resource.affinityTimeoutS > 0 && resource.affinityTimeoutS !== AFFINITY_TIMEOUT_S)
      problems.push(affinityForGood());
    const facts: ServiceFacts = {
      addresses,
      namespaceAnnotations: namespaceAnnotations(mesh, namespace),
      binding,
      routes: routesOf(key, mesh),
      namedPorts: mesh.valuesBy(ATTACHED_TLS_ROUTES, 'service', key).flatMap(({ ports }) => ports),
    };
    const service = serviceOf(resource, facts, mesh.options);
    return [
      entry(OUTPUT.services, serviceKeyOf(service), service),
      ...statusOf(name, waypointCondition(name, binding), problems),
    ];
  },
});

/** The user's addresses, as far as no older service has them; else allocated ones. */
function addressesOf(
  key: string,
  resource: ServiceResource,
  mesh: MeshReader<typeof USER_SERVICES | typeof RESERVED_ADDRESSES | typeof ENDPOINTS>,
): { addresses: IpAddress[]; problems: Problem[] } {
  const problems: Problem[] = [];
  const own: IpAddress[] = [];
  const lost: IpAddress[] = [];
  for (const address of resource.addresses) {
    // Age decides, so that a new service never takes the address of one in use.
    const [first] = mesh.valuesBy(USER_SERVICES, 'address', address).toSorted(byAge);
    // Nor does it take that of a workload that runs: what is sent to the workload would go to its endpoints.
    const running = mesh
      .valuesBy(ENDPOINTS, 'address', addressKey(mesh.options.network, address))
      .find(({ kind }) => kind === 'registered');
    const isFirst = first === undefined || keyOf(first) === key;
    if (isFirst && running === undefined) {
      own.push(address);
      continue;
    }
    lost.push(address);
    const owner = running !== undefined ? endpointResource(running) : `Service ${first === undefined ? key : keyOf(first)}`;
    const message = `address ${address} is that of ${owner}; another one is used here`;
    problems.push(warningAt('WEFT_ADDRESS_CONFLICT', ['spec'], message, 'give each service its own address, or leave it out'));
  }
  // Who lost an address gets one of the same family, so that clients of that family still find it.
  const families = lost.length > 0 ? [...new Set(lost.map(familyOf))] : familiesToAllocate(resource);
  // Asked also for none: that gives back what it held before.
  const allocated = mesh.allocate(families);
  if (allocated.length < families.length) {
    const message = 'no free address is left in the range for services';
    problems.push(warningAt('WEFT_ADDRESS_CONFLICT', ['spec'], message, 'write spec.clusterIP yourself'));
  }
  return { addresses: [...own, ...allocated], problems };
}

/** A waypoint remembers no clients: it goes by a hash of their addresses. */
function affinityForGood(): Problem {
  const message = 'a waypoint stands before the service, by which a client stays with its endpoint however long it is silent';
  const remedy = 'remove timeoutSeconds, or take the waypoint away';
  return warningAt('WEFT_NOT_ENFORCED', ['spec', 'sessionAffinityConfig', 'clientIP', 'timeoutSeconds'], message, remedy);
}

/** `<namespace>/<name>`. */
function keyOf({ metadata: { namespace, name } }: ServiceResource): string {
  return `${namespace}/${name}`;
}

/** What a service takes from the resources around it. */
type ServiceFacts = {
  addresses: readonly IpAddress[];
  namespaceAnnotations: Labels;
  binding: Pick<ServiceBinding, 'address' | 'canary'>;
  routes: readonly L4Route[];
  /** Those where routes go by the name that clients of TLS ask for. */
  namedPorts: readonly number[];
};

/** An alias has a name, for those who resolve names, and nothing else. */
function aliasOf({ metadata: { name, namespace } }: ServiceResource, target: string, options: MeshOptions) {
  const service: Service = {
    ...{ name, namespace, hostname: serviceHostname(namespace, name, options), addresses: [], ports: [] },
    ...{ subjectAltNames: [], waypoint: null, loadBalancing: null, ipFamilies: 'automatic', canonical: true },
    ...{ namespaceOnly: false, aliasOf: target, datagramPorts: [], routes: [], affinityTimeoutS: 0 },
  };
  return entry(OUTPUT.services, serviceKeyOf(service), service);
}

/** The service as workload discovery describes it. */
function serviceOf(resource: ServiceResource, facts: ServiceFacts, options: MeshOptions): Service {
  const { name, namespace } = resource.metadata;
  return {
    name,
    namespace,
    hostname: serviceHostname(namespace, name, options),
    addresses: facts.addresses,
    // Of streams the mesh carries TCP alone.
    ports: resource.ports.filter(({ protocol }) => protocol === 'TCP').map((port) => toPort(port, facts)),
    subjectAltNames: [],
    ...waypointsIn(facts.binding),
    loadBalancing: loadBalancingOf(resource, facts.namespaceAnnotations),
    ipFamilies: familiesOf(resource.ipFamilies),
    canonical: true,
    namespaceOnly: false,
    aliasOf: null,
    datagramPorts: datagramPortsOf(resource.ports),
    affinityTimeoutS: resource.affinityTimeoutS,
    routes: facts.routes,
  };
}

/** 0 stands for a port that each workload names itself. A port with a route of connections carries nothing finer. */
function toPort(port: ServicePortResource, { routes, namedPorts }: ServiceFacts): ServicePort {
  const targetPort = typeof port.target === 'number' ? port.target : 0;
  const appProtocol = appProtocolOf(port);
  const isStream = routes.some((one) => one.transport === 'tcp' && one.port === port.port);
  const routed = namedPorts.includes(port.port) ? 'tls' : isStream ? 'tcp' : appProtocol;
  return { servicePort: port.port, targetPort, appProtocol: appProtocol === 'unknown' ? routed : appProtocol };
}

/** UDP has ports of its own, also where TCP has the same number. */
function datagramPortsOf(ports: readonly ServicePortResource[]): Service['datagramPorts'] {
  const udp = ports.filter(({ protocol }) => protocol === 'UDP');
  return udp.map(({ port, target }) => ({ servicePort: port, targetPort: typeof target === 'number' ? target : 0 }));
}

/** Of several routes of one port, for the same clients, the oldest serves. */
function routesOf(key: string, mesh: MeshReader<typeof ATTACHED_L4_ROUTES>): L4Route[] {
  const attached = mesh.valuesBy(ATTACHED_L4_ROUTES, 'service', key).toSorted(byAge);
  const first = new Map<string, L4Route>();
  for (const { route } of attached) {
    const place = `${route.transport} ${String(route.port).padStart(5, '0')} ${route.clientNamespace ?? ''}`;
    if (!first.has(place)) first.set(place, route);
  }
  return [...first].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, route]) => route);
}

/** As workload discovery puts it; automatic when the user left it open. */
function familiesOf(families: readonly Family[]): Service['ipFamilies'] {
  const distinct = new Set(families);
  if (distinct.size === 2) return 'dual';
  if (distinct.has(4)) return 'ipv4';
  return distinct.has(6) ? 'ipv6' : 'automatic';
}

/** Families that an allocated service gets an address of; none when the user gave addresses or wants none. */
function familiesToAllocate({ headless, addresses, ipFamilies }: ServiceResource): readonly Family[] {
  if (headless || addresses.length > 0) return [];
  return ipFamilies.length > 0 ? [...new Set(ipFamilies)] : [4, 6];
}

/**
 * How endpoints of a service are preferred: internalTrafficPolicy, then trafficDistribution, then the annotation
 * of the service, then that of its namespace; null when none says anything. A fresh object per service.
 */
function loadBalancingOf(service: ServiceResource, namespaceAnnotations: Labels): LoadBalancing | null {
  const preference = preferenceOf(service, namespaceAnnotations);
  if (!service.publishNotReadyAddresses) return preference;
  return { ...(preference ?? { mode: 'unspecified', routingPreference: [] }), allowUnhealthy: true };
}

/** The wishes in order of precedence; the first that says anything decides. */
function preferenceOf(service: ServiceResource, namespaceAnnotations: Labels): LoadBalancing | null {
  if (service.nodeLocal) return { mode: 'strict', routingPreference: ['node'], allowUnhealthy: false };
  const wanted =
    service.trafficDistribution ??
    service.metadata.annotations[ANNOTATION.trafficDistribution] ??
    namespaceAnnotations[ANNOTATION.trafficDistribution];
  switch (wanted?.toLowerCase()) {
    case 'preferclose':
    case 'prefersamezone':
      return { mode: 'failover', routingPreference: ['network', 'region', 'zone'], allowUnhealthy: false };
    case 'prefersamenode':
      return {
        mode: 'failover',
        routingPreference: ['network', 'region', 'zone', 'subzone', 'node'],
        allowUnhealthy: false,
      };
    default:
      // An unknown value means any endpoint; it does not fall through to a wider setting.
      return null;
  }
}
