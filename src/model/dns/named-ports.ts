import type { Service } from '#model/mesh/service.ts';
import { coveringHostnames } from './alias.ts';
import type { DnsView, NameClient } from './resolve-name.ts';

/**
 * Whether a service is a host outside the mesh that nothing but its name tells from others: a ServiceEntry with resolution NONE
 * and no address. One that is bound to a waypoint is none, since a connection to an address would go around that.
 */
export function isByNameOnly({ addresses, blocks = [], loadBalancing, waypoint, aliasOf }: Service): boolean {
  return addresses.length + blocks.length === 0 && loadBalancing?.mode === 'passthrough' && waypoint === null && aliasOf === null;
}

/**
 * The ports on which a client may reach what nameservers outside the mesh answer for a name (in any case, with or without the final
 * dot): those of the hosts that cover it best among those that the client sees. Empty: the mesh does not know the name.
 */
export function namedPorts(name: string, client: Pick<NameClient, 'namespace'>, view: DnsView): ReadonlySet<number> {
  for (const hostname of coveringHostnames(name.toLowerCase().replace(/\.$/, ''))) {
    const seen = view
      .servicesByHostname(hostname)
      .filter((service) => isByNameOnly(service) && (!service.namespaceOnly || service.namespace === client.namespace));
    if (seen.length > 0) return new Set(seen.flatMap(({ ports }) => ports.map(({ servicePort }) => servicePort)));
  }
  return NONE;
}

const NONE: ReadonlySet<number> = new Set();
