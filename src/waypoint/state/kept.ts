import type { IpAddress } from '#model/address/ip.ts';
import type { ServiceKey } from '#model/mesh/service.ts';
import type { Workload } from '#model/mesh/workload.ts';
import type { Slotted } from '#waypoint/state/slots.ts';

/** One service of the mesh, as long as the mesh knows it or the configuration binds it. */
export class ServiceState implements Slotted {
  slots: unknown[] | null = null;
  readonly key: ServiceKey;
  /** Grows whenever the service or its endpoints change: what was worked out for an earlier version is stale. */
  version = 0;

  constructor(key: ServiceKey) {
    this.key = key;
  }
}

/** One port of one workload as this waypoint uses it. */
export class UpstreamEndpoint implements Slotted {
  slots: unknown[] | null = null;
  workload: Workload;
  readonly ip: IpAddress;
  readonly port: number;
  /** Balancing weight. */
  capacity: number;
  /** Hostname of the service it was chosen for; null when the workload itself was dialled. */
  serviceHost: string | null = null;
  /** Requests and TCP connections under way. */
  active = 0;
  /** It has left: nothing new may be kept for it. */
  gone = false;

  constructor(workload: Workload, ip: IpAddress, port: number) {
    this.workload = workload;
    this.ip = ip;
    this.port = port;
    this.capacity = workload.capacity;
  }
}
