import type { RawMetadata } from '#control-plane/resources/metadata.ts';

/** What of a trafficPolicy is looked at. */
export type RawTrafficSettings = {
  tls?: { mode?: 'DISABLE' | 'SIMPLE' | 'MUTUAL' | 'ISTIO_MUTUAL' };
  portLevelSettings?: { tls?: RawTrafficSettings['tls'] }[];
};

/** A name for some endpoints. */
export type RawSubset = { name: string; labels?: Record<string, string>; trafficPolicy?: RawTrafficSettings };

/** The document, once its schema has passed. */
export type RawDestinationRule = {
  metadata: RawMetadata;
  spec?: {
    host: string;
    exportTo?: string[];
    workloadSelector?: object;
    trafficPolicy?: RawTrafficSettings;
    subsets?: RawSubset[];
  };
};
