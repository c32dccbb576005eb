import { DATAPLANE_MODE, REDIRECTION } from '#model/mesh/membership.ts';

/** Labels and annotations that the index reads. Source: config-api, labels and annotations. */
export const LABEL = {
  useWaypoint: 'istio.io/use-waypoint',
  useWaypointNamespace: 'istio.io/use-waypoint-namespace',
  useWaypointCanary: 'istio.io/use-waypoint-canary',
  useWaypointCanaryNamespace: 'istio.io/use-waypoint-canary-namespace',
  waypointFor: 'istio.io/waypoint-for',
  dataplaneMode: DATAPLANE_MODE,
  gatewayName: 'gateway.networking.k8s.io/gateway-name',
  gatewayClassName: 'gateway.networking.k8s.io/gateway-class-name',
  managed: 'gateway.istio.io/managed',
  tunnel: 'networking.istio.io/tunnel',
  autoAllocate: 'networking.istio.io/enable-autoallocate-ip',
  canonicalName: 'service.istio.io/canonical-name',
  canonicalRevision: 'service.istio.io/canonical-revision',
  workloadName: 'service.istio.io/workload-name',
  region: 'topology.kubernetes.io/region',
  zone: 'topology.kubernetes.io/zone',
  subzone: 'topology.istio.io/subzone',
} as const;

/** Annotations that the index reads. */
export const ANNOTATION = {
  egress: 'weft.dev/egress',
  useWaypointCanaryWeight: 'istio.io/use-waypoint-canary-weight',
  redirection: REDIRECTION,
  trafficDistribution: 'networking.istio.io/traffic-distribution',
  serviceAccount: 'gateway.istio.io/service-account',
  /** `false` at a Service or Namespace: no waypoint is made for it. */
  autoWaypoint: 'weft.dev/auto-waypoint',
  /** Of a Gateway that was made without anybody asking for it. */
  automatic: 'weft.dev/auto',
  /** Of such a Gateway: it has been ready once, so that what is bound to it stays so. */
  activated: 'weft.dev/activated',
  autoRegistrationGroup: 'istio.io/autoRegistrationGroup',
} as const;

/** Fixed by the Gateway API: the controller in whose name classes are accepted and entries of `status.parents` are written. */
export const CONTROLLER_NAME = 'weft.dev/mesh-controller';

/** Gateway classes whose Gateways Weft runs as waypoints. */
export const WAYPOINT_CLASSES: readonly string[] = ['weft-waypoint', 'istio-waypoint'];

/** Values of the label `gateway.istio.io/managed` on what a mesh controller generated. */
export const MANAGED_BY_WEFT = 'weft.dev-mesh-controller';
/** All values of that label by which something counts as generated. */
export const MANAGED_VALUES: readonly string[] = [MANAGED_BY_WEFT, 'istio.io-mesh-controller', 'istio.io-eastwest-controller'];

/** Protocol of the listener that waypoints are reached by. */
export const HBONE_PROTOCOL = 'HBONE';
