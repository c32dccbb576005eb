import type { Family, IpAddress } from '#model/address/ip.ts';
import type { Service, ServiceKey } from '#model/mesh/service.ts';

/** What name resolution reads of the mesh; a snapshot, so one answer never mixes two states. */
export type DnsView = {
  /** Services with exactly this hostname (lower case; `*.example.org` is asked for literally), oldest first. */
  servicesByHostname(hostname: string): readonly Service[];
  /** Usable endpoints of a headless service: at most one address of `family` per endpoint. */
  endpointAddresses(key: ServiceKey, family: Family): readonly IpAddress[];
};
