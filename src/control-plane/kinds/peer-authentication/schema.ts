import type { Labels, Metadata, RawMetadata, RawWorkloadSelector } from '#control-plane/resources/metadata.ts';

/** UNSET inherits from the next wider policy. DISABLE accepts what PERMISSIVE does: HBONE stays available. */
export type MutualTlsMode = 'UNSET' | 'DISABLE' | 'PERMISSIVE' | 'STRICT';

/** Whether peers without an identity are welcome. */
export type PeerAuthenticationResource = {
  kind: 'PeerAuthentication';
  metadata: Metadata;
  /** null: the whole namespace (or mesh, in the root namespace). */
  selector: Labels | null;
  mode: MutualTlsMode;
  /** Ports of the workload, ascending. */
  ports: readonly { port: number; mode: MutualTlsMode }[];
};

/** The document, once its schema has passed. */
export type RawPeerAuthentication = {
  metadata: RawMetadata;
  spec?: {
    selector?: RawWorkloadSelector;
    mtls?: { mode?: MutualTlsMode };
    portLevelMtls?: Record<string, { mode?: MutualTlsMode }>;
  };
};
