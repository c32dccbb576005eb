import { MultiMap } from '#control-plane/index/multi-map.ts';
import { inVipRange } from '#control-plane/index/vip-allocator.ts';
import type { IpAddress } from '#model/address/ip.ts';
import type { MeshDelta } from '#model/mesh/mesh-state.ts';

/** Who has which address according to the configuration: kept up from what the index derives of it. */
export class AddressBook {
  /** Address → the services, by key. */
  readonly #services = new Holding();
  /** Address → endpoints that resources describe, by uid. */
  readonly #configured = new Holding();
  readonly #isRegistered: (uid: string) => boolean;

  /** isRegistered: whether a workload of this uid is one that a node told, and no resource. */
  constructor(isRegistered: (uid: string) => boolean) {
    this.#isRegistered = isRegistered;
  }

  apply({ workloads, services }: Pick<MeshDelta, 'workloads' | 'services'>): void {
    for (const [key, service] of services) this.#services.set(key, service?.addresses ?? []);
    for (const [uid, workload] of workloads) {
      if (!this.#isRegistered(uid)) this.#configured.set(uid, workload?.addresses ?? []);
    }
  }

  /** The service that has the address, or may be given it later: no workload can have one of the range for services. */
  serviceAt(ip: IpAddress): string | null {
    const key = this.#services.firstAt(ip);
    if (key !== undefined) return `service ${key}`;
    return inVipRange(ip) ? 'the range of addresses for services' : null;
  }

  /** Uid of the endpoint in the configuration that has the address. */
  configuredAt(ip: IpAddress): string | null {
    return this.#configured.firstAt(ip) ?? null;
  }
}

/** A relation of keys and addresses that is read by address. */
class Holding {
  /** The only address itself: most have one, and a list for each would take more than the rest. */
  readonly #byKey = new Map<string, IpAddress | readonly IpAddress[]>();
  readonly #byAddress = new MultiMap<IpAddress, string>();

  set(key: string, addresses: readonly IpAddress[]): void {
    for (const ip of [this.#byKey.get(key) ?? []].flat()) this.#byAddress.remove(ip, key);
    const [first] = addresses;
    if (first === undefined) this.#byKey.delete(key);
    else this.#byKey.set(key, addresses.length === 1 ? first : addresses);
    for (const ip of addresses) this.#byAddress.add(ip, key);
  }

  firstAt(ip: IpAddress): string | undefined {
    return this.#byAddress.firstAt(ip);
  }
}
