import type { Metadata } from '#control-plane/resources/metadata.ts';

/** Read for its labels and annotations: they are the defaults of what the namespace holds. */
export type NamespaceResource = { kind: 'Namespace'; metadata: Metadata };
