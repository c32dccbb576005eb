import type { Metadata, RawMetadata } from '#control-plane/resources/metadata.ts';
import type { IpAddress } from '#model/address/ip.ts';

/** One pod, as far as it is an endpoint. */
export type PodResource = {
  kind: 'Pod';
  metadata: Metadata;
  serviceAccount: string;
  /** '' while it is not scheduled. */
  node: string;
  addresses: readonly IpAddress[];
  hostNetwork: boolean;
  /** Its processes ended: it is no endpoint any more. */
  finished: boolean;
  ready: boolean;
  /** Named TCP ports of its containers; the first of a name wins. */
  namedPorts: Readonly<Record<string, number>>;
  /** Name of what created it (a Deployment, say), else its own. */
  ownerName: string;
};

/** A container as written. */
export type RawContainer = {
  restartPolicy?: string;
  ports?: { name?: string; containerPort: number; protocol?: string }[];
};

/** The document, once its schema has passed. */
export type RawPod = {
  metadata: RawMetadata;
  spec: {
    nodeName?: string;
    serviceAccountName?: string;
    hostNetwork?: boolean;
    containers?: RawContainer[];
    initContainers?: RawContainer[];
  };
  status?: {
    phase?: string;
    podIP?: string;
    podIPs?: { ip?: string }[];
    conditions?: { type: string; status: string }[];
  };
};
