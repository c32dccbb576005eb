import type { IpAddress } from '#model/address/ip.ts';
import type { Service, ServiceKey } from '#model/mesh/service.ts';
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

/** One port of one workload, as an endpoint of one service: what services allow their endpoints to be differs. */
export class UpstreamEndpoint implements Slotted {
  slots: unknown[] | null = null;
  workload: Workload;
  readonly ip: IpAddress;
  readonly port: number;
  /** Balancing weight. */
  capacity: number;
  /** The service it was chosen for; null when the workload itself was dialled. */
  service: Service | null;
  /** Requests and TCP connections under way. */
  active = 0;
  /** It has left: nothing new may be kept for it. */
  gone = false;

  constructor(workload: Workload, ip: IpAddress, port: number, service: Service | null) {
    this.workload = workload;
    this.ip = ip;
    this.port = port;
    this.service = service;
    this.capacity = workload.capacity;
  }
}
