import type { RawRouteRule, RawValueMatch } from '#control-plane/mesh/request-routes/documents.ts';
import type { RawParentRef } from '#control-plane/mesh/route-parents.ts';
import type { RawMetadata } from '#control-plane/resources/metadata.ts';

/** A method as written: a service, one of its methods, or a method of any service. */
export type RawGrpcMethod = { type: 'Exact' | 'RegularExpression'; service?: string; method?: string };

/** A match as written. */
export type RawGrpcMatch = { method?: RawGrpcMethod; headers?: RawValueMatch[] };

/** Defaults of the schema are already filled in. */
export type RawGrpcRoute = {
  metadata: RawMetadata;
  spec: {
    parentRefs?: RawParentRef[];
    hostnames?: string[];
    rules?: (Pick<RawRouteRule, 'name' | 'filters' | 'backendRefs' | 'sessionPersistence'> & { matches?: RawGrpcMatch[] })[];
  };
};
