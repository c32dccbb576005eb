import type { IpAddress } from '#model/address/ip.ts';
import type { Workload } from '#model/mesh/workload.ts';
import type { ConnectionPool } from '#waypoint/upstream/connection-pool.ts';

/** One port of one workload as this waypoint uses it: its load and its connections outlive changes of the mesh. */
export class UpstreamEndpoint {
  workload: Workload;
  readonly ip: IpAddress;
  readonly port: number;
  /** Balancing weight. */
  capacity: number;
  /** Hostname of the service it was chosen for; null when the workload itself was dialled. */
  serviceHost: string | null = null;
  /** Requests and TCP connections under way. */
  active = 0;
  /** Connections by the principal they serve ('' for none): identities never share one (W8). */
  readonly pools = new Map<string, ConnectionPool>();

  constructor(workload: Workload, ip: IpAddress, port: number) {
    this.workload = workload;
    this.ip = ip;
    this.port = port;
    this.capacity = workload.capacity;
  }

  /** Closes its connections once their requests are done. */
  retire(): void {
    for (const pool of this.pools.values()) pool.retire();
    this.pools.clear();
  }
}
