import type { BackendTarget } from '#control-plane/mesh/backend-targets.ts';
import type { Metadata, RawMetadata } from '#control-plane/resources/metadata.ts';
import type { ServerName } from '#model/trust/server-names.ts';

/** A target, and the port of it that is meant; null: all those that no other target names. */
export type TlsTarget = BackendTarget & { section: string | null };

/** Who certifies servers. */
export type Authorities =
  /** By name in the policy's own namespace; null stands for what is no ConfigMap. */
  | { kind: 'maps'; names: readonly (string | null)[] }
  | { kind: 'system' }
  /** Nobody that is known here. */
  | { kind: 'unknown'; why: string };

/** A policy; nothing it refers to has been looked up yet. */
export type TlsPolicyResource = {
  kind: 'BackendTLSPolicy';
  metadata: Metadata;
  targets: readonly TlsTarget[];
  hostname: string;
  names: readonly ServerName[];
  authorities: Authorities;
};

/** The document, once its schema has passed. */
export type RawTlsPolicy = {
  metadata: RawMetadata;
  spec: {
    targetRefs: { group: string; kind: string; name: string; sectionName?: string }[];
    validation: {
      hostname: string;
      caCertificateRefs?: { group: string; kind: string; name: string }[];
      wellKnownCACertificates?: string;
      subjectAltNames?: { type: 'Hostname' | 'URI'; hostname?: string; uri?: string }[];
    };
  };
};
