import { type Labelled, tableOf } from '#control-plane/index/table.ts';
import type { Labels, Metadata } from '#control-plane/resources/metadata.ts';
import type { ResourceName } from '#control-plane/resources/resource.ts';
import type { Cidr, IpAddress } from '#model/address/ip.ts';
import type { AppProtocol } from '#model/mesh/service.ts';

/** One host of a ServiceEntry: a service that nobody runs as a Service. */
export type EntryHost = {
  owner: ResourceName;
  metadata: Pick<Metadata, 'namespace' | 'name' | 'labels' | 'annotations' | 'createdAtMs'>;
  host: string;
  /** As users wrote them; empty: one of each family is allocated, where `allocates`. */
  addresses: readonly IpAddress[];
  /** As users wrote them, beside the addresses. */
  blocks: readonly Cidr[];
  allocates: boolean;
  ports: readonly EntryPort[];
  /** Connections go where they were going: there are no endpoints. */
  passthrough: boolean;
  subjectAltNames: readonly string[];
  namespaceOnly: boolean;
  /** Null: endpoints are written in it, or there are none. */
  selector: Labels | null;
};

/** A port that clients dial, and where it is behind them. */
export type EntryPort = { name: string; port: number; target: number; appProtocol: AppProtocol; grpcWeb: boolean };

/** By `<namespace>/<host>`: of two entries with one host in a namespace the oldest counts. */
export const ENTRY_HOSTS = tableOf<EntryHost>()('service-entry-hosts', {
  by: { host: ({ host }) => [host], address: ({ addresses }) => addresses, owner: ({ owner }) => [owner] },
  selector: ({ metadata, selector }): Labelled | null =>
    selector === null ? null : { namespace: metadata.namespace, labels: selector },
});

/** What an endpoint has behind the ports of a host; its own ports by name go before. */
export function entryMappings(
  ports: readonly EntryPort[],
  named: Readonly<Record<string, number>>,
): { servicePort: number; targetPort: number }[] {
  return ports.map(({ name, port, target }) => ({
    servicePort: port,
    targetPort: (Object.hasOwn(named, name) ? named[name] : undefined) ?? target,
  }));
}
