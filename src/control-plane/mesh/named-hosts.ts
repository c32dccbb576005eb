import type { MeshReader } from '#control-plane/index/derivation.ts';
import { type MeshOptions, serviceHostname } from '#control-plane/index/mesh-options.ts';
import { ENTRY_HOSTS } from '#control-plane/mesh/service-entry-hosts.ts';
import { SERVICES } from '#control-plane/mesh/services.ts';
import type { Labels } from '#control-plane/resources/metadata.ts';
import { byAge } from '#control-plane/resources/metadata.ts';
import { nameOfResource, type ResourceName } from '#control-plane/resources/resource.ts';
import { type ServiceKey, serviceKeyOf } from '#model/mesh/service.ts';

/** A service that Istio's resources name by its host. */
export type NamedHost = {
  /** By which it is bound: `<namespace>/<name>` of a Service, `<namespace>/<host>` of a ServiceEntry's. */
  id: string;
  key: ServiceKey;
  hostname: string;
  namespace: string;
  /** Whatever describes it. */
  owner: ResourceName;
  /** Of TCP. */
  ports: readonly number[];
  /** Null: its endpoints are written, or it has none. */
  selector: Labels | null;
};

/** Tables that hosts are looked up in. */
export const HOST_TABLES = [SERVICES, ENTRY_HOSTS] as const;

/** The mesh as hosts are looked up in it. */
export type HostMesh = MeshReader<(typeof HOST_TABLES)[number]>;

/** A name without a dot is that of a Service in the namespace of whoever names it; every other one is whole. */
export function fullHost(host: string, own: string, options: MeshOptions): string {
  const lower = host.toLowerCase();
  return lower.includes('.') ? lower : serviceHostname(own, lower, options);
}

/** What a host stands for, from a namespace; null: nothing. A Service goes before, then the namespace's own entry, then the oldest. */
export function namedHost(host: string, own: string, mesh: HostMesh): NamedHost | null {
  const hostname = fullHost(host, own, mesh.options);
  const [name = '', namespace = ''] = hostname.split('.');
  const service = serviceHostname(namespace, name, mesh.options) === hostname ? mesh.get(SERVICES, `${namespace}/${name}`) : null;
  if (service !== null && service.externalName === null) {
    const ports = service.ports.filter(({ protocol }) => protocol === 'TCP').map(({ port }) => port);
    const key = serviceKeyOf({ namespace, hostname });
    return {
      id: `${namespace}/${name}`,
      key,
      hostname,
      namespace,
      owner: nameOfResource(service),
      ports,
      selector: service.selector,
    };
  }
  const entries = mesh.valuesBy(ENTRY_HOSTS, 'host', hostname).toSorted(byAge);
  const ours = entries.find(({ metadata }) => metadata.namespace === own);
  const found = ours ?? entries.find(({ namespaceOnly }) => !namespaceOnly);
  if (found === undefined) return null;
  const key = serviceKeyOf({ namespace: found.metadata.namespace, hostname });
  const { owner, selector, metadata } = found;
  return { id: key, key, hostname, namespace: metadata.namespace, owner, ports: found.ports.map(({ port }) => port), selector };
}

/** Whether what is exported to these namespaces is seen from one. `own`: where it is written; an empty list means everywhere. */
export function isExportedTo(exportTo: readonly string[], own: string, namespace: string): boolean {
  if (exportTo.length === 0 || exportTo.includes('*') || exportTo.includes(namespace)) return true;
  return exportTo.includes('.') && own === namespace;
}
