import type { Labels, Metadata, RawMetadata } from '#control-plane/resources/metadata.ts';
import type { Cidr, IpAddress } from '#model/address/ip.ts';

/** Where the endpoints of an entry come from. */
export type Resolution = 'NONE' | 'STATIC' | 'DNS' | 'DNS_ROUND_ROBIN' | 'DYNAMIC_DNS';

/** An endpoint that is written in the entry itself: by address, or by a name that whoever dials resolves. */
export type WrittenEndpoint = {
  address: IpAddress | null;
  /** '' when there is an address. */
  hostname: string;
  ports: Readonly<Record<string, number>>;
  labels: Labels;
  network: string;
  locality: { region: string; zone: string; subzone: string };
  /** Relative balancing weight, at least 1. */
  weight: number;
  serviceAccount: string;
};

/** Services that are not run as Services: outside the mesh, or on machines of it. */
export type ServiceEntryResource = {
  kind: 'ServiceEntry';
  metadata: Metadata;
  hosts: readonly string[];
  addresses: readonly IpAddress[];
  blocks: readonly Cidr[];
  ports: readonly RawEntryPort[];
  resolution: Resolution;
  endpoints: readonly WrittenEndpoint[];
  selector: Labels | null;
  subjectAltNames: readonly string[];
  /** Visible to clients of its own namespace alone. */
  namespaceOnly: boolean;
};

/** A port as written. */
export type RawEntryPort = { name: string; number: number; protocol?: string; targetPort?: number };

/** An endpoint as written. */
export type RawEntryEndpoint = {
  address?: string;
  ports?: Record<string, number>;
  labels?: Record<string, string>;
  network?: string;
  locality?: string;
  weight?: number;
  serviceAccount?: string;
};

/** The document, once its schema has passed. */
export type RawServiceEntry = {
  metadata: RawMetadata;
  spec: {
    hosts: string[];
    addresses?: string[];
    ports?: RawEntryPort[];
    location?: 'MESH_EXTERNAL' | 'MESH_INTERNAL';
    resolution?: Resolution;
    endpoints?: RawEntryEndpoint[];
    workloadSelector?: { labels?: Record<string, string> };
    exportTo?: string[];
    subjectAltNames?: string[];
  };
};
