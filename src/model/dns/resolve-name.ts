import { type Family, familyOf, type IpAddress } from '#model/address/ip.ts';
import { type Alias, aliasesOf, clusterSearchDomains, coveringHostnames } from '#model/dns/alias.ts';
import { type Service, type ServiceKey, serviceKeyOf } from '#model/mesh/service.ts';

/**
 * `type` is the record type's name (`A`, `AAAA`, `MX`); any case of `name`, with or without the final dot. `plain` false: it
 * is of another class, or has labels that no name of the mesh can have.
 */
export type NameQuestion = { name: string; type: string; plain?: boolean };

/**
 * Who asks: the namespace decides what short names mean and which services are visible. `own`: its own name and addresses, by
 * which a program finds the machine that it takes itself to be on.
 */
export type NameClient = { namespace: string; own?: { name: string; addresses: readonly IpAddress[] } };

/** What decides how names are read, the same for every client of a node. */
export type NameOptions = {
  /** `cluster.local`. */
  clusterDomain: string;
  /** Null: those of the client's namespace in the cluster. */
  searchDomains: readonly string[] | null;
  /** Wins among equal services of other namespaces; null: none does. */
  preferredNamespace: string | null;
  /** False: AAAA questions for mesh names are answered with no address. */
  ipv6: boolean;
};

/** `cname`: the addresses belong to this name, to which the asked one is an alias; null: to the asked name itself. */
export type NameResolution =
  | { kind: 'answer'; service: ServiceKey | null; cname: string | null; addresses: readonly IpAddress[]; authoritative: true }
  /** It stands for another name, whose records are the answer. */
  | { kind: 'alias'; service: ServiceKey; target: string; authoritative: true }
  /** The name exists, without an address of this family, or a record of the type asked for: NOERROR with no records. */
  | { kind: 'empty'; service: ServiceKey | null; authoritative: true }
  /** Below the mesh's own domain, where nobody else could know more: no such name. `exists`: there are names below it. */
  | { kind: 'absent'; exists: boolean; authoritative: true }
  /** Not ours to answer. */
  | { kind: 'forward' };

type Hit = { service: Service; cname: string | null };

/**
 * What a DNS question of a workload means in the mesh. Only addresses of services are told, never names of workloads, but its
 * own to each, where no service is called so (`service` null); no server outside is asked for what is below the mesh's own domain. Errors: none. Source: docs/rules/node-proxy.md (B40, B61, B62).
 */
export function resolveName(question: NameQuestion, client: NameClient, view: DnsView, options: NameOptions): NameResolution {
  const name = question.name.toLowerCase().replace(/\.$/, '');
  const hit = name === '' || question.plain === false ? null : findService(name, client, view, options);
  if (hit === null) {
    const own = question.plain === false ? null : ownAddresses(name, client, options);
    if (own !== null) return answerOf(null, null, addressesFor(question.type, own, options));
    return isOwn(name, options) ? absent(name, view, options) : { kind: 'forward' };
  }
  const service = serviceKeyOf(hit.service);
  if (hit.service.aliasOf !== null) return { kind: 'alias', service, target: hit.service.aliasOf, authoritative: true };
  const family = familyAsked(question.type);
  const addresses = family !== null && offers(hit.service, family, options) ? addressesOf(hit.service, family, view) : [];
  return answerOf(service, hit.cname, addresses);
}

function answerOf(service: ServiceKey | null, cname: string | null, addresses: readonly IpAddress[]): NameResolution {
  if (addresses.length === 0) return { kind: 'empty', service, authoritative: true };
  return { kind: 'answer', service, cname, addresses, authoritative: true };
}

/** The addresses of the client, if that is whom it asks for: by its name alone or in full; null: it is not. */
function ownAddresses(name: string, { namespace, own }: NameClient, options: NameOptions): readonly IpAddress[] | null {
  if (own === undefined) return null;
  const full = `${own.name}.${namespace}.svc.${options.clusterDomain}`;
  return clusterNames(name, namespace, options).some((alias) => alias.name === full) ? own.addresses : null;
}

function addressesFor(type: string, addresses: readonly IpAddress[], { ipv6 }: NameOptions): readonly IpAddress[] {
  const family = familyAsked(type);
  return family === 6 && !ipv6 ? [] : addresses.filter((address) => familyOf(address) === family);
}

function familyAsked(type: string): Family | null {
  if (type === 'A') return 4;
  return type === 'AAAA' ? 6 : null;
}

function isOwn(name: string, { clusterDomain }: NameOptions): boolean {
  return name === clusterDomain || name.endsWith(`.${clusterDomain}`);
}

/**
 * A resolver that is told that a name does not exist may take it that nothing below it does (RFC 8020): what lies between the
 * domain and a name that exists is empty instead.
 */
function absent(name: string, view: DnsView, { clusterDomain }: NameOptions): NameResolution {
  const exists = name === clusterDomain || name === `svc.${clusterDomain}` || view.hasHostnameBelow(name);
  return { kind: 'absent', exists, authoritative: true };
}

function findService(name: string, client: NameClient, view: DnsView, options: NameOptions): Hit | null {
  for (const alias of clusterNames(name, client.namespace, options)) {
    const hit = findCovering(alias, client, view, options);
    if (hit !== null) return hit;
  }
  return null;
}

function clusterNames(name: string, namespace: string, options: NameOptions): readonly Alias[] {
  const { clusterDomain } = options;
  const searchDomains = options.searchDomains ?? clusterSearchDomains(namespace, clusterDomain);
  return aliasesOf(name, namespace, { clusterDomain, searchDomains });
}

function findCovering(alias: Alias, client: NameClient, view: DnsView, options: NameOptions): Hit | null {
  const headlessAnswered = alias.name.endsWith(`.svc.${options.clusterDomain}`);
  for (const hostname of coveringHostnames(alias.name)) {
    const candidates = view
      .servicesByHostname(hostname)
      .filter(
        (service) =>
          (!service.namespaceOnly || service.namespace === client.namespace) &&
          (service.addresses.length > 0 || headlessAnswered),
      );
    const service = preferred(candidates, client, options);
    // A wildcard has no name of its own to be an alias of, so its addresses go on the asked name.
    if (service !== null) return { service, cname: hostname === alias.name ? alias.stripped : null };
  }
  return null;
}

function preferred(candidates: readonly Service[], client: NameClient, options: NameOptions): Service | null {
  return (
    candidates.find((service) => service.namespace === client.namespace) ??
    candidates.find((service) => service.canonical) ??
    candidates.find((service) => service.namespace === options.preferredNamespace) ??
    candidates[0] ??
    null
  );
}

function offers(service: Service, family: Family, options: NameOptions): boolean {
  if (family === 6 && !options.ipv6) return false;
  if (service.ipFamilies === 'ipv4') return family === 4;
  return service.ipFamilies !== 'ipv6' || family === 6;
}

function addressesOf(service: Service, family: Family, view: DnsView): readonly IpAddress[] {
  if (service.addresses.length === 0) return view.endpointAddresses(serviceKeyOf(service), family);
  return service.addresses.filter((address) => familyOf(address) === family);
}

/** What name resolution reads of the mesh; a snapshot, so one answer never mixes two states. */
export type DnsView = {
  /** Services with exactly this hostname (lower case; `*.example.org` is asked for literally), oldest first. */
  servicesByHostname(hostname: string): readonly Service[];
  /** Usable endpoints of a headless service: at most one address of `family` per endpoint. */
  endpointAddresses(key: ServiceKey, family: Family): readonly IpAddress[];
  /** Whether some service has a hostname that ends in `.` and `name`. */
  hasHostnameBelow(name: string): boolean;
};
