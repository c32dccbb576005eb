import type { Labels, Metadata, RawMetadata } from '#control-plane/resources/metadata.ts';
import type { IpAddress } from '#model/address/ip.ts';

/** An endpoint that is no pod. */
export type WorkloadEntryResource = {
  kind: 'WorkloadEntry';
  metadata: Metadata;
  /** null: reached by `hostname`. */
  address: IpAddress | null;
  /** '' when there is an address. */
  hostname: string;
  /** Ports by name, in place of what a service's targetPort says. */
  ports: Readonly<Record<string, number>>;
  /** Those of the metadata and of the spec; the spec wins. */
  labels: Labels;
  /** '' for the mesh's own network. */
  network: string;
  locality: { region: string; zone: string; subzone: string };
  /** Relative balancing weight, at least 1. */
  weight: number;
  serviceAccount: string;
};

/** The document, once its schema has passed. */
export type RawWorkloadEntry = {
  metadata: RawMetadata;
  spec: {
    address?: string;
    ports?: Record<string, number>;
    labels?: Record<string, string>;
    network?: string;
    locality?: string;
    weight?: number;
    serviceAccount?: string;
  };
};
