import type { ServiceKey } from '#model/mesh/service.ts';
import type { TelemetryRules } from '#model/telemetry/rules.ts';
import type { ExternalAuthorizer } from '#model/waypoint/authorizer.ts';
import type { ConnectionRoute } from '#model/waypoint/connection-routes.ts';
import type { ServiceDestination } from '#model/waypoint/destination-settings.ts';
import type {
  HttpCors,
  HttpMirror,
  HttpRedirect,
  HttpRetry,
  HttpRewrite,
  HttpSession,
  PathMatch,
  ValueMatch,
} from '#model/waypoint/filters.ts';
import type { JwtRule } from '#model/waypoint/jwt.ts';
import type { RateLimit, Traffic } from '#model/waypoint/traffic.ts';
import type { HttpDirectResponse, ServiceSubset, VirtualMatch } from '#model/waypoint/virtual.ts';

/**
 * What one waypoint enforces and routes, beside what workload discovery tells it.
 * Computed by the control plane's index, carried as JSON in `weft.v1.WaypointConfig`.
 * Plain JSON data only.
 */
export type WaypointConfig = {
  namespace: string;
  /** Name of the Gateway resource. */
  gateway: string;
  trustDomain: string;
  /** To which form a request's path is brought before anything looks at it. */
  pathNormalization: PathNormalization;
  /** Services bound to this waypoint, with what applies to each. */
  services: readonly WaypointService[];
  /** Policies that target the Gateway or its class: they apply to every request. */
  policies: readonly L7Policy[];
  /** Whom its policies with action `custom` ask, by name. Absent: they have none. */
  authorizers?: readonly ExternalAuthorizer[];
  /** What is told of connections that dialled a workload. Absent: all, by default. */
  telemetry?: TelemetryRules;
  /** Counts every request that goes through it, beside the limits of its services. */
  rateLimit?: RateLimit;
};

/** What of a configuration applies to all of its services. */
export type WaypointBase = Omit<WaypointConfig, 'services'>;

/**
 * How far the spellings of a path are brought to one, least first; the names are those of Istio's mesh configuration
 * (docs/rules/waypoint.md W15-W18). What is authorised, routed and forwarded is always the same form.
 */
export const PATH_NORMALIZATIONS = ['NONE', 'BASE', 'MERGE_SLASHES', 'DECODE_AND_MERGE_SLASHES'] as const;
/** One of the levels above. */
export type PathNormalization = (typeof PATH_NORMALIZATIONS)[number];
/** As in Istio. */
export const DEFAULT_PATH_NORMALIZATION: PathNormalization = 'BASE';

/** One service bound to the waypoint, with what applies to it. */
export type WaypointService = {
  key: ServiceKey;
  /** HTTPRoutes attached to this service, already sorted oldest first, then by namespace/name. */
  routes: readonly HttpRoute[];
  /** Policies whose targetRefs name this service. */
  policies: readonly L7Policy[];
  /** Which tokens are taken, of every policy that is about it; sorted by issuer. Absent: none is looked at. */
  authentication?: readonly JwtRule[];
  /** What TrafficPolicies say of the service (port null) and of its ports. */
  traffic?: readonly (Traffic & { port: number | null })[];
  /** Where its connections go that are not HTTP, in order. Absent: by the mesh's own routes, or to the service. */
  connections?: readonly ConnectionRoute[];
  /** Those that its routes lead to, of whatever service. */
  subsets?: readonly ServiceSubset[];
  /** How requests to it are treated, and to those that its routes lead to. */
  destinations?: readonly ServiceDestination[];
  /** What is told of requests and connections to it. Absent: all, by default. */
  telemetry?: TelemetryRules;
  /** Where gRPC-Web is taken for the gRPC that the app behind it speaks. */
  grpcWebPorts?: readonly number[];
  /** It has left, and is served to those only that have not heard of it yet. */
  leaving?: true;
};

/** One HTTPRoute as it attaches to one service, or what a VirtualService says of one of its hosts. */
export type HttpRoute = {
  namespace: string;
  name: string;
  /** Service ports it attaches to; null: every port. */
  ports: readonly number[] | null;
  /** Namespace of the clients it applies to; null: every client (a producer route). */
  clientNamespace: string | null;
  /** Of a VirtualService: the first rule that matches wins, whatever it matches on. */
  inOrder?: true;
  rules: readonly HttpRouteRule[];
};

/** One rule: the first matching one wins by the precedence of src/model/routing. */
export type HttpRouteRule = {
  name: string;
  /** ORed; empty: every request. */
  matches: readonly HttpRouteMatch[];
  /** Of a VirtualService, in the place of `matches`. */
  virtual?: VirtualMatch;
  /** Empty: 500. Weight 0 gets nothing; all 0: 500. */
  backends: readonly HttpBackend[];
  requestHeaders: HeaderChanges | null;
  responseHeaders: HeaderChanges | null;
  /** Milliseconds; null: unlimited. */
  requestTimeoutMs: number | null;
  // What most rules do not have is absent from them: their waypoints are told less, and compile nothing.
  /** Answers in place of the backends. */
  redirect?: HttpRedirect;
  directResponse?: HttpDirectResponse;
  rewrite?: HttpRewrite;
  cors?: HttpCors;
  mirrors?: readonly HttpMirror[];
  /** Milliseconds that one try may take. */
  backendTimeoutMs?: number;
  retry?: HttpRetry;
  session?: HttpSession;
  /** Goes before what is said of the service. */
  traffic?: Traffic;
};

/** Applied in the order set, add, remove; names as written by the user. */
export type HeaderChanges = {
  set: readonly { name: string; value: string }[];
  add: readonly { name: string; value: string }[];
  remove: readonly string[];
};

/** Fields are ANDed. */
export type HttpRouteMatch = {
  /** Of a GRPCRoute, in the place of path and method: `/service/method`; null parts are any. */
  grpc?: { type: 'exact' | 'regex'; service: string | null; method: string | null };
  path: PathMatch | null;
  method: string | null;
  headers: readonly ValueMatch[];
  queryParams: readonly ValueMatch[];
};

/** One weighted backend of a rule. */
export type HttpBackend = {
  /** null: the reference does not resolve, its share is answered 500 (of a VirtualService 503). */
  service: ServiceKey | null;
  port: number;
  /** Only the endpoints that are called so in `WaypointService.subsets`. */
  subset?: string;
  weight: number;
  /** What is changed, after the rule's own changes, in requests that go there. */
  filters?: BackendFilters;
};

/** What a single backend's requests and responses are changed by. */
export type BackendFilters = {
  requestHeaders: HeaderChanges | null;
  responseHeaders: HeaderChanges | null;
  rewrite: HttpRewrite | null;
};

/** An AuthorizationPolicy as a waypoint enforces it: Istio's strings, validated but not interpreted. */
export type L7Policy = {
  namespace: string;
  name: string;
  /** `custom`: an authorizer decides about what the rules match. */
  action: 'allow' | 'deny' | 'custom';
  /** Of `custom`, by name; one that the configuration does not know denies. */
  authorizer?: string;
  dryRun: boolean;
  rules: readonly L7Rule[];
};

/** from entries ORed, to entries ORed, when entries ANDed; an absent list restricts nothing. */
export type L7Rule = { from: readonly L7Source[]; to: readonly L7Operation[]; when: readonly L7Condition[] };

/** Each list is ORed, lists are ANDed, `not…` must have no hit; an empty list restricts nothing. */
export type L7Source = {
  principals: readonly string[];
  notPrincipals: readonly string[];
  namespaces: readonly string[];
  notNamespaces: readonly string[];
  /** `<namespace>/<name>`, already completed with the policy's namespace. */
  serviceAccounts: readonly string[];
  notServiceAccounts: readonly string[];
  ipBlocks: readonly string[];
  notIpBlocks: readonly string[];
  /** `<issuer>/<subject>` of a token that was proved. */
  requestPrincipals?: readonly string[];
  notRequestPrincipals?: readonly string[];
};

/** Each list is ORed, lists are ANDed, `not…` must have no hit; an empty list restricts nothing. */
export type L7Operation = {
  hosts: readonly string[];
  notHosts: readonly string[];
  ports: readonly string[];
  notPorts: readonly string[];
  methods: readonly string[];
  notMethods: readonly string[];
  paths: readonly string[];
  notPaths: readonly string[];
};

/** One attribute: a value of `values` must match (when there are any), none of `notValues` may. */
export type L7Condition = { key: string; values: readonly string[]; notValues: readonly string[] };
