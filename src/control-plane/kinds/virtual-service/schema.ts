import type { RawMetadata } from '#control-plane/resources/metadata.ts';

/** A text to compare with; without any of them it only has to be there. */
export type RawStringMatch = { exact?: string; prefix?: string; regex?: string };

/** One entry of match. */
export type RawVirtualMatch = {
  name?: string;
  uri?: RawStringMatch;
  ignoreUriCase?: boolean;
  scheme?: RawStringMatch;
  method?: RawStringMatch;
  authority?: RawStringMatch;
  headers?: Record<string, RawStringMatch>;
  withoutHeaders?: Record<string, RawStringMatch>;
  queryParams?: Record<string, RawStringMatch>;
  port?: number;
  gateways?: string[];
  sourceLabels?: Record<string, string>;
  sourceNamespace?: string;
};

/** Where requests go. */
export type RawDestination = { host: string; subset?: string; port?: { number?: number } };

/** Header changes of one direction. */
export type RawHeaderOperations = { set?: Record<string, string>; add?: Record<string, string>; remove?: string[] };

/** Of requests and responses. */
export type RawHeaders = { request?: RawHeaderOperations; response?: RawHeaderOperations };

/** A share of the requests. */
export type RawRouteDestination = { destination: RawDestination; weight?: number; headers?: RawHeaders };

/** 0 to 100; absent: 0. */
export type RawPercentage = { value?: number };

/** What is done to a share of the requests. */
export type RawFault = {
  delay?: { fixedDelay?: string; exponentialDelay?: string; percent?: number; percentage?: RawPercentage };
  abort?: { httpStatus?: number; grpcStatus?: string; http2Error?: string; percentage?: RawPercentage };
};

/** When a request is sent again. */
export type RawRetries = { attempts?: number; perTryTimeout?: string; retryOn?: string; backoff?: string };

/** What browsers are told of other origins. */
export type RawCorsPolicy = {
  allowOrigin?: string[];
  allowOrigins?: RawStringMatch[];
  allowMethods?: string[];
  allowHeaders?: string[];
  exposeHeaders?: string[];
  maxAge?: string;
  allowCredentials?: boolean | null;
  unmatchedPreflights?: 'UNSPECIFIED' | 'FORWARD' | 'IGNORE';
};

/** An answer that names another place. */
export type RawVirtualRedirect = {
  uri?: string;
  authority?: string;
  scheme?: string;
  port?: number;
  derivePort?: 'FROM_PROTOCOL_DEFAULT' | 'FROM_REQUEST_PORT';
  redirectCode?: number;
};

/** An answer of its own. */
export type RawDirectResponse = { status: number; body?: { string?: string; bytes?: string } };

/** One entry of http. */
export type RawVirtualRule = {
  name?: string;
  match?: RawVirtualMatch[];
  route?: RawRouteDestination[];
  redirect?: RawVirtualRedirect;
  directResponse?: RawDirectResponse;
  delegate?: { name?: string; namespace?: string };
  rewrite?: { uri?: string; authority?: string; uriRegexRewrite?: { match?: string; rewrite?: string } };
  timeout?: string;
  retries?: RawRetries;
  fault?: RawFault;
  mirror?: RawDestination;
  mirror_percent?: number;
  mirrorPercent?: number;
  mirrorPercentage?: RawPercentage;
  mirrors?: { destination: RawDestination; percentage?: RawPercentage }[];
  corsPolicy?: RawCorsPolicy;
  headers?: RawHeaders;
};

/** One entry of match of `tcp` and `tls`; names are of the latter alone, and required there. */
export type RawConnectionMatch = Pick<RawVirtualMatch, 'port' | 'gateways' | 'sourceLabels' | 'sourceNamespace'> & {
  destinationSubnets?: string[];
  sourceSubnet?: string;
  sniHosts?: string[];
};

/** One entry of tcp or tls. */
export type RawConnectionRule = {
  match?: RawConnectionMatch[];
  route?: { destination: RawDestination; weight?: number }[];
};

/** The document, once its schema has passed. */
export type RawVirtualService = {
  metadata: RawMetadata;
  spec?: {
    hosts?: string[];
    gateways?: string[];
    exportTo?: string[];
    http?: RawVirtualRule[];
    tcp?: RawConnectionRule[];
    tls?: RawConnectionRule[];
  };
};
