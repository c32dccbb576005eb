import { type Cidr, type Family, familyOf, type IpAddress } from '#model/address/ip.ts';
import type { Authorization, PolicyKey } from '#model/mesh/authorization.ts';
import type { Workload } from '#model/mesh/workload.ts';
import { MultiMap } from '#model/share/multi-map.ts';
import { AddressBlocks, meaningOfBlocks } from './address-blocks.ts';
import { type GatewayAddress, gatewayName, type Service, type ServiceKey, waypointsOf } from './service.ts';

/** What a delta touched, old and new values together: the inputs of incremental work. */
export type Touched = {
  ips: Set<IpAddress>;
  services: Set<ServiceKey>;
  workloads: Set<string>;
  policies: boolean;
  /** Blocks of addresses came or went: any address may mean something else. */
  blocks: boolean;
};

/**
 * All a node or waypoint knows of the mesh, with the look-ups it needs. One writer: apply().
 * Endpoints may arrive before their service (docs/rules/control-plane.md).
 */
export class MeshState {
  readonly #workloads = new Map<string, Workload>();
  readonly #services = new Map<ServiceKey, Service>();
  readonly #policies = new Map<PolicyKey, Authorization>();
  readonly #uidsByIp = new MultiMap<IpAddress>();
  readonly #keysByVip = new MultiMap<IpAddress>();
  readonly #blocks = new AddressBlocks();
  readonly #keysByHostname = new MultiMap<string>();
  /** Name → services whose hostname ends in `.` and it. */
  readonly #keysBelow = new MultiMap<string>();
  readonly #endpoints = new MultiMap<ServiceKey>();
  /** Service → those whose routes lead to it. */
  readonly #routedFrom = new MultiMap<ServiceKey>();
  /** Waypoints that services or workloads are bound to, with how many are. */
  readonly #bound = new Map<string, { address: GatewayAddress; count: number }>();
  #policyGeneration = 0;

  apply(delta: MeshDelta): Touched {
    const touched: Touched = {
      ips: new Set(),
      services: new Set(),
      workloads: new Set(),
      policies: delta.policies.size > 0,
      blocks: false,
    };
    if (touched.policies) this.#policyGeneration++;
    for (const [key, policy] of delta.policies) {
      if (policy === null) this.#policies.delete(key);
      else this.#policies.set(key, policy);
    }
    for (const [key, service] of delta.services) this.#replaceService(key, service, touched);
    for (const [uid, workload] of delta.workloads) this.#replaceWorkload(uid, workload, touched);
    this.addRouted(touched.services);
    return touched;
  }

  /** These, and the services whose routes lead to one of them. Routes are not followed twice, so neither is this. */
  addRouted(services: Set<ServiceKey>): Set<ServiceKey> {
    for (const key of [...services]) for (const from of this.#routedFrom.of(key)) services.add(from);
    return services;
  }

  workload(uid: string): Workload | null {
    return this.#workloads.get(uid) ?? null;
  }

  workloads(): Iterable<Workload> {
    return this.#workloads.values();
  }

  service(key: ServiceKey): Service | null {
    return this.#services.get(key) ?? null;
  }

  services(): Iterable<Service> {
    return this.#services.values();
  }

  policy(key: PolicyKey): Authorization | null {
    return this.#policies.get(key) ?? null;
  }

  policies(): Iterable<Authorization> {
    return this.#policies.values();
  }

  /** Grows whenever a policy comes, changes or goes: what was made of the policies before is stale then. */
  get policyGeneration(): number {
    return this.#policyGeneration;
  }

  get counts(): { workloads: number; services: number; policies: number } {
    return { workloads: this.#workloads.size, services: this.#services.size, policies: this.#policies.size };
  }

  /** The workload that owns an address: pods before others, then HBONE-capable ones; never host-network ones. */
  workloadByIp(ip: IpAddress): Workload | null {
    let best: Workload | null = null;
    for (const uid of this.#uidsByIp.of(ip)) {
      const candidate = this.#workloads.get(uid);
      if (candidate === undefined || candidate.hostNetwork) continue;
      if (best === null || rankByIp(candidate) > rankByIp(best)) best = candidate;
    }
    return best;
  }

  /**
   * The service an address means to a client: its own namespace first, then the canonical one (B40). Where neither a service nor
   * a workload has the address itself it is that of a block around it: of the client's namespace, or of the longest (B41).
   */
  serviceByVip(ip: IpAddress, clientNamespace: string | null): Service | null {
    if (this.#keysByVip.has(ip) || this.workloadByIp(ip) !== null) return this.#choose(this.#keysByVip.of(ip), clientNamespace);
    let longest: Service | null = null;
    for (const keys of this.#blocks.around(ip)) {
      const service = this.#choose(keys, clientNamespace);
      if (service?.namespace === clientNamespace) return service;
      longest ??= service;
    }
    return longest;
  }

  /** Every service that an address may mean, whoever may see it: those that have it, else those of blocks, the longest first. */
  servicesAt(ip: IpAddress): Service[] {
    const exact = this.servicesByVip(ip);
    if (exact.length > 0 || this.workloadByIp(ip) !== null) return exact;
    return this.#blocks.around(ip).flatMap((keys) => this.#named(keys));
  }

  /** Every block of addresses that stands for a service. */
  blocks(): Iterable<Cidr> {
    return this.#blocks.all();
  }

  /** Every service that an address of a block may mean, if that is the longest around it: its own first, then those of wider ones. */
  servicesOfBlock({ base, length }: Cidr): { own: Service[]; wider: Service[] } {
    const [own = new Set<ServiceKey>(), ...wider] = this.#blocks.around(base, length);
    return { own: this.#named(own), wider: wider.flatMap((keys) => this.#named(keys)) };
  }

  /** Every service with this VIP, whoever may see it. */
  servicesByVip(ip: IpAddress): Service[] {
    return this.#named(this.#keysByVip.of(ip));
  }

  servicesByHostname(hostname: string): Service[] {
    return [...this.#keysByHostname.of(hostname)].flatMap((key) => this.#services.get(key) ?? []);
  }

  /** Whether some service has a hostname that ends in `.` and `name`. */
  hasHostnameBelow(name: string): boolean {
    return this.#keysBelow.has(name);
  }

  /** Workloads that back a service, whatever their health. */
  endpoints(key: ServiceKey): Workload[] {
    const uids = [...this.#endpoints.of(key)];
    return uids.map((uid) => this.#workloads.get(uid)).filter((workload) => workload !== undefined);
  }

  /** Usable endpoints of a headless service: at most one address of `family` per endpoint. */
  endpointAddresses(key: ServiceKey, family: Family): IpAddress[] {
    const allowUnhealthy = this.#services.get(key)?.loadBalancing?.allowUnhealthy ?? false;
    return this.endpoints(key)
      .filter((workload) => workload.healthy || allowUnhealthy)
      .flatMap((workload) => workload.addresses.find((ip) => familyOf(ip) === family) ?? []);
  }

  /** Workloads behind a waypoint's address. */
  waypointMembers(address: GatewayAddress): Workload[] {
    if (address.kind === 'hostname') return this.endpoints(`${address.namespace}/${address.hostname}`);
    // Of its own address alone: what has a block around it is no waypoint.
    const byVip = this.#choose(this.#keysByVip.of(address.address), null);
    if (byVip !== null) return this.endpoints(`${byVip.namespace}/${byVip.hostname}`);
    const workload = this.workloadByIp(address.address);
    return workload === null ? [] : [workload];
  }

  /** Every waypoint that a service or a workload is bound to, once. */
  boundWaypoints(): GatewayAddress[] {
    return [...this.#bound.values()].map(({ address }) => address);
  }

  #bind(address: GatewayAddress | null | undefined, by: 1 | -1): void {
    if (!address) return;
    const key = gatewayName(address);
    const count = (this.#bound.get(key)?.count ?? 0) + by;
    if (count === 0) this.#bound.delete(key);
    else this.#bound.set(key, { address, count });
  }

  #named(keys: Iterable<ServiceKey>): Service[] {
    return [...keys].flatMap((key) => this.#services.get(key) ?? []);
  }

  #choose(keys: Iterable<ServiceKey>, clientNamespace: string | null): Service | null {
    let best: Service | null = null;
    for (const key of keys) {
      const service = this.#services.get(key);
      if (service === undefined || (service.namespaceOnly && service.namespace !== clientNamespace)) continue;
      if (service.namespace === clientNamespace) return service;
      if (best === null || (service.canonical && !best.canonical)) best = service;
    }
    return best;
  }

  #replaceService(key: ServiceKey, service: Service | null, touched: Touched): void {
    const old = this.#services.get(key);
    touched.services.add(key);
    for (const waypoint of service === null ? [] : waypointsOf(service)) this.#bind(waypoint, 1);
    for (const waypoint of old === undefined ? [] : waypointsOf(old)) this.#bind(waypoint, -1);
    if (old !== undefined) {
      for (const vip of old.addresses) {
        this.#keysByVip.remove(vip, key);
        touched.ips.add(vip);
      }
      for (const block of old.blocks ?? []) this.#blocks.remove(block, key);
      for (const target of targetsOf(old)) this.#routedFrom.remove(target, key);
      this.#keysByHostname.remove(old.hostname, key);
      for (const name of namesAbove(old.hostname)) this.#keysBelow.remove(name, key);
      this.#services.delete(key);
    }
    touched.blocks ||= meaningOfBlocks(old) !== meaningOfBlocks(service);
    if (service === null) return;
    this.#services.set(key, service);
    for (const block of service.blocks ?? []) this.#blocks.add(block, key);
    for (const target of targetsOf(service)) this.#routedFrom.add(target, key);
    this.#keysByHostname.add(service.hostname, key);
    for (const name of namesAbove(service.hostname)) this.#keysBelow.add(name, key);
    for (const vip of service.addresses) {
      this.#keysByVip.add(vip, key);
      touched.ips.add(vip);
    }
  }

  #replaceWorkload(uid: string, workload: Workload | null, touched: Touched): void {
    const old = this.#workloads.get(uid);
    touched.workloads.add(uid);
    this.#bind(workload?.waypoint, 1);
    this.#bind(old?.waypoint, -1);
    if (old !== undefined) {
      for (const ip of old.addresses) {
        this.#uidsByIp.remove(ip, uid);
        touched.ips.add(ip);
      }
      for (const key of old.services.keys()) {
        this.#endpoints.remove(key, uid);
        touched.services.add(key);
      }
      this.#workloads.delete(uid);
    }
    if (workload === null) return;
    this.#workloads.set(uid, workload);
    for (const ip of workload.addresses) {
      this.#uidsByIp.add(ip, uid);
      touched.ips.add(ip);
    }
    for (const key of workload.services.keys()) {
      this.#endpoints.add(key, uid);
      touched.services.add(key);
    }
  }
}

/** The services that routes of a service lead to. */
function targetsOf({ routes }: Service): Set<ServiceKey> {
  return new Set(routes.flatMap(({ shares }) => shares.flatMap(({ service }) => service ?? [])));
}

function rankByIp(workload: Workload): number {
  return (workload.uid.includes('//Pod/') ? 2 : 0) + (workload.tunnelProtocol === 'hbone' ? 1 : 0);
}

/** `a.b.c` → `b.c`, `c`. */
function namesAbove(hostname: string): string[] {
  const labels = hostname.split('.');
  return labels.slice(1).map((_, at) => labels.slice(at + 1).join('.'));
}

/** A change of the mesh: key → new value, or null when it is gone. */
export type MeshDelta = {
  workloads: ReadonlyMap<string, Workload | null>;
  services: ReadonlyMap<ServiceKey, Service | null>;
  policies: ReadonlyMap<PolicyKey, Authorization | null>;
};
