import { defineDerivation, type MeshReader } from '#control-plane/index/derivation.ts';
import { type MeshOptions, serviceHostname } from '#control-plane/index/mesh-options.ts';
import { OUTPUT, STATUS, statusOf } from '#control-plane/index/outputs.ts';
import { entry, tableOf } from '#control-plane/index/table.ts';
import { RESERVED_ADDRESSES, reserve } from '#control-plane/index/vip-allocator.ts';
import { appProtocolOf, speaksGrpcWeb } from '#control-plane/mesh/app-protocol.ts';
import { addressKey, ENDPOINTS, endpointResource, hasNativeTunnel } from '#control-plane/mesh/endpoints.ts';
import { bindingByLabels, waypointsIn } from '#control-plane/mesh/service-binding.ts';
import { ENTRY_HOSTS, type EntryHost, entryMappings } from '#control-plane/mesh/service-entry-hosts.ts';
import { SERVICE_BINDINGS, SERVICES, USER_SERVICES } from '#control-plane/mesh/services.ts';
import { WRITTEN_ENDPOINTS } from '#control-plane/mesh/subsets.ts';
import { BINDING_TABLES, waypointCondition } from '#control-plane/mesh/waypoint-binding.ts';
import { LABEL } from '#control-plane/mesh/well-known.ts';
import { workloadOf } from '#control-plane/mesh/workloads.ts';
import { type Problem, warningAt } from '#control-plane/resources/finding.ts';
import { byAge } from '#control-plane/resources/metadata.ts';
import { nameOfResource } from '#control-plane/resources/resource.ts';
import type { IpAddress } from '#model/address/ip.ts';
import { serviceKeyOf } from '#model/mesh/service.ts';
import { isWildcard } from './check.ts';
import type { RawEntryPort, ServiceEntryResource, WrittenEndpoint } from './schema.ts';

/** Entries as they were read. */
export const SERVICE_ENTRIES = tableOf<ServiceEntryResource>()('service-entries');

/** The hosts of each entry. Of two entries with one host the oldest is first, whatever its name. */
export const entryHosts = defineDerivation({
  name: 'service entry',
  each: SERVICE_ENTRIES,
  reads: [],
  writes: [ENTRY_HOSTS, RESERVED_ADDRESSES],
  derive: ({ value }) => [
    ...value.hosts.map((host) => {
      const { namespace, createdAtMs } = value.metadata;
      return entry(ENTRY_HOSTS, `${namespace}/${host}`, hostOf(value, host), createdAtMs ?? Number.MAX_SAFE_INTEGER);
    }),
    ...reserve(value.addresses),
  ],
});

function hostOf(resource: ServiceEntryResource, host: string): EntryHost {
  const { namespace, name, labels, annotations, createdAtMs } = resource.metadata;
  const passthrough = resource.resolution === 'NONE';
  return {
    owner: nameOfResource(resource),
    metadata: { namespace, name, labels, annotations, createdAtMs },
    host,
    addresses: resource.addresses,
    blocks: resource.blocks,
    // What goes where it was going must not be sent to an address that nobody has.
    allocates: !passthrough && labels[LABEL.autoAllocate] !== 'false',
    ports: resource.ports.map(toPort),
    passthrough,
    subjectAltNames: resource.subjectAltNames,
    namespaceOnly: resource.namespaceOnly,
    selector: resource.selector,
  };
}

/** The protocol is a field of its own here, and beats the name. */
function toPort({ name, number, protocol, targetPort }: RawEntryPort): EntryHost['ports'][number] {
  const appProtocol = protocol === undefined || protocol === '' ? null : protocol.toLowerCase();
  return {
    name,
    port: number,
    target: targetPort ?? number,
    appProtocol: appProtocolOf({ name, port: number, target: number, protocol: 'TCP', appProtocol }),
    grpcWeb: speaksGrpcWeb({ name, appProtocol }),
  };
}

/** Each host as workload discovery describes it: a service like any other. */
export const servedHosts = defineDerivation({
  name: 'service entry host',
  each: ENTRY_HOSTS,
  reads: [ENTRY_HOSTS, SERVICES, USER_SERVICES, ENDPOINTS, RESERVED_ADDRESSES, ...BINDING_TABLES],
  writes: [OUTPUT.services, SERVICE_BINDINGS],
  derive({ key, value: found }, mesh) {
    const { namespace, name } = found.metadata;
    const binding = bindingByLabels(found.metadata, mesh);
    const { gateway } = binding;
    const canary = binding.canary?.gateway ?? null;
    const own = found.addresses.filter((ip) => ownerOf(ip, found, mesh) === null);
    const allocated = mesh.allocate(own.length + found.blocks.length === 0 && found.allocates ? [4, 6] : []);
    const rivals = mesh.valuesBy(ENTRY_HOSTS, 'host', found.host).toSorted(byAge);
    const service = {
      ...{ name, namespace, hostname: found.host, addresses: [...own, ...allocated] },
      ...(found.blocks.length > 0 && { blocks: found.blocks }),
      ports: found.ports.map(({ port, target, appProtocol }) => ({ servicePort: port, targetPort: target, appProtocol })),
      subjectAltNames: found.subjectAltNames,
      ...waypointsIn(binding),
      loadBalancing: found.passthrough ? ({ mode: 'passthrough', routingPreference: [], allowUnhealthy: true } as const) : null,
      ipFamilies: 'automatic' as const,
      canonical: rivals[0]?.owner === found.owner && serviceOf(found.host, mesh) === null,
      namespaceOnly: found.namespaceOnly,
      aliasOf: null,
      ...{ datagramPorts: [], routes: [], affinityTimeoutS: 0 },
    };
    return [
      // A Service of this very name is the better description of it.
      entry(OUTPUT.services, serviceKeyOf(service), service, 1),
      ...(gateway === null
        ? []
        : [entry(SERVICE_BINDINGS, key, { gateway, canary, hostname: found.host, owner: found.owner }, 1)]),
    ];
  },
});

type HostMesh = MeshReader<typeof ENTRY_HOSTS | typeof SERVICES | typeof USER_SERVICES | typeof ENDPOINTS>;

/** The Service that has this hostname, as `<namespace>/<name>`; null: none. */
function serviceOf(host: string, mesh: HostMesh): string | null {
  const [name = '', namespace = ''] = host.split('.');
  if (serviceHostname(namespace, name, mesh.options) !== host) return null;
  return mesh.get(SERVICES, `${namespace}/${name}`) === null ? null : `${namespace}/${name}`;
}

/**
 * Who has an address already, in words: what is sent to a workload or a Service must not go elsewhere, nor what is sent to the
 * hosts of an older entry. Hosts of one entry share its addresses, and are the same behind them.
 */
function ownerOf(ip: IpAddress, host: Pick<EntryHost, 'owner'>, mesh: HostMesh): string | null {
  const [running] = mesh.valuesBy(ENDPOINTS, 'address', addressKey(mesh.options.network, ip));
  if (running !== undefined) return endpointResource(running);
  const [service] = mesh.valuesBy(USER_SERVICES, 'address', ip);
  if (service !== undefined) return nameOfResource(service);
  const [oldest] = mesh.valuesBy(ENTRY_HOSTS, 'address', ip).toSorted(byAge);
  return oldest === undefined || oldest.owner === host.owner ? null : oldest.owner;
}

/** The endpoints that are written in an entry, and what is to be said of it. */
export const entryEndpoints = defineDerivation({
  name: 'service entry endpoints',
  each: SERVICE_ENTRIES,
  reads: [ENTRY_HOSTS, SERVICES, USER_SERVICES, ENDPOINTS, ...BINDING_TABLES],
  writes: [OUTPUT.workloads, WRITTEN_ENDPOINTS, ...STATUS],
  derive({ value: resource }, mesh) {
    const { namespace } = resource.metadata;
    const name = nameOfResource(resource);
    const kept = resource.hosts
      .flatMap((host) => mesh.get(ENTRY_HOSTS, `${namespace}/${host}`) ?? [])
      .filter(({ owner }) => owner === name);
    const workloads = resource.endpoints.map((endpoint) => describe(resource, endpoint, kept, mesh.options));
    const binding = bindingByLabels(resource.metadata, mesh);
    const problems = [...(binding.problem === null ? [] : [binding.problem]), ...problemsOf(resource, kept, mesh)];
    return [
      ...workloads.map((workload) => entry(OUTPUT.workloads, workload.uid, workload)),
      ...workloads.map(({ uid, services }, at) => {
        const endpointLabels = resource.endpoints[at]?.labels ?? {};
        return entry(WRITTEN_ENDPOINTS, uid, { uid, services: [...services.keys()], labels: endpointLabels });
      }),
      ...statusOf(name, waypointCondition(name, binding), problems),
    ];
  },
});

/** By name each host has an endpoint of its own: what is resolved for one is none of another. */
function describe(resource: ServiceEntryResource, endpoint: WrittenEndpoint, kept: readonly EntryHost[], options: MeshOptions) {
  const { namespace, name } = resource.metadata;
  const { address, hostname, labels, ports } = endpoint;
  const uid = `${options.clusterId}/networking.istio.io/ServiceEntry/${namespace}/${name}/${address ?? hostname}`;
  const behind = address === null && resource.hosts.includes(hostname) ? kept.filter(({ host }) => host === hostname) : kept;
  const described = {
    ...{ uid, resource: nameOfResource(resource), kind: 'entry' as const, hasConditions: false, problems: [], name, namespace },
    ...{ labels, serviceAccount: endpoint.serviceAccount, node: '', addresses: address === null ? [] : [address], hostname },
    ...{ network: endpoint.network || options.network, locality: endpoint.locality, weight: endpoint.weight },
    ...{ hostNetwork: false, healthy: true, captured: false, nativeTunnel: hasNativeTunnel(labels) },
    ...{ workloadName: labels[LABEL.workloadName] ?? name, namedPorts: ports },
  };
  const workload = workloadOf(
    described,
    { services: [], waypoint: null, policies: [], registryOnly: false, isMeant: true },
    options,
  );
  return {
    ...workload,
    services: new Map(behind.map((host) => [`${namespace}/${host.host}`, entryMappings(host.ports, ports)])),
  };
}

function problemsOf(resource: ServiceEntryResource, kept: readonly EntryHost[], mesh: HostMesh): Problem[] {
  const { namespace } = resource.metadata;
  const problems: Problem[] = [];
  for (const [at, host] of resource.hosts.entries()) {
    const path = ['spec', 'hosts', at];
    const other = mesh.get(ENTRY_HOSTS, `${namespace}/${host}`)?.owner;
    const service = serviceOf(host, mesh);
    if (service !== null) {
      const message = `${host} is the name of Service ${service}, which goes before this entry`;
      problems.push(warningAt('WEFT_LIKELY_MISTAKE', path, message, 'remove the host, or the Service'));
    } else if (other !== undefined && !kept.some((one) => one.host === host)) {
      const message = `${host} is described by ${other}, which is older; it is left out here`;
      problems.push(warningAt('WEFT_LIKELY_MISTAKE', path, message, 'describe each host of a namespace once'));
    } else if (resource.resolution === 'NONE' && resource.addresses.length + resource.blocks.length === 0 && !isWildcard(host)) {
      const message = `${host} has no address: it is known by what nameservers answer for it, and only to registry-only namespaces`;
      problems.push(warningAt('WEFT_LIKELY_MISTAKE', path, message, 'write resolution: DNS, or its addresses'));
    }
  }
  for (const [at, ip] of resource.addresses.entries()) {
    const owner = ownerOf(ip, { owner: nameOfResource(resource) }, mesh);
    if (owner === null) continue;
    const message = `address ${ip} is that of ${owner}; it is left out here`;
    problems.push(warningAt('WEFT_ADDRESS_CONFLICT', ['spec', 'addresses', at], message, 'give it an address of its own'));
  }
  return problems;
}
