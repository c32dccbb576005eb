import type { Labels, Metadata, RawMetadata } from '#control-plane/resources/metadata.ts';
import type { Family, IpAddress } from '#model/address/ip.ts';

/** A name and addresses for workloads. */
export type ServiceResource = {
  kind: 'Service';
  metadata: Metadata;
  /** Answered by DNS as an alias of another name; no endpoints of its own. */
  externalName: boolean;
  /** `clusterIP: None`: has endpoints but no address of its own. */
  headless: boolean;
  /** Given by the user; empty when they are to be allocated (or headless). */
  addresses: readonly IpAddress[];
  /** As the user wrote them; empty: not said. */
  ipFamilies: readonly Family[];
  /** null: selects nothing. */
  selector: Labels | null;
  ports: readonly ServicePortResource[];
  /** Only endpoints on the client's node. */
  nodeLocal: boolean;
  trafficDistribution: string | null;
  publishNotReadyAddresses: boolean;
};

/** A port that clients dial. */
export type ServicePortResource = {
  /** '' when it has none. */
  name: string;
  port: number;
  /** A port number, or the name of a container port. */
  target: number | string;
  protocol: 'TCP' | 'UDP' | 'SCTP';
  appProtocol: string | null;
};

/** A port as written. */
export type RawServicePort = {
  name?: string;
  port: number;
  targetPort?: number | string;
  protocol?: 'TCP' | 'UDP' | 'SCTP';
  appProtocol?: string;
};

/** The document, once its schema has passed. */
export type RawService = {
  metadata: RawMetadata;
  spec: {
    type?: string;
    selector?: Record<string, string> | null;
    ports?: RawServicePort[];
    clusterIP?: string;
    clusterIPs?: string[];
    ipFamilies?: ('IPv4' | 'IPv6')[];
    internalTrafficPolicy?: string;
    trafficDistribution?: string;
    publishNotReadyAddresses?: boolean;
    externalName?: string;
  };
};
