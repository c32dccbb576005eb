/** Types of resource served over delta ADS. Source: docs/rules/control-plane.md, and one of our own. */
export const ADDRESS_TYPE = 'type.googleapis.com/istio.workload.Address';
/** Bare workloads, for old clients: same names and versions as Address. */
export const WORKLOAD_TYPE = 'type.googleapis.com/istio.workload.Workload';
export const AUTHORIZATION_TYPE = 'type.googleapis.com/istio.security.Authorization';
/** Named `<namespace>/<gateway>`; a waypoint subscribes to its own. */
export const WAYPOINT_CONFIG_TYPE = 'type.googleapis.com/weft.v1.WaypointConfig';

/** A type that this mesh serves. */
export type TypeUrl = typeof ADDRESS_TYPE | typeof WORKLOAD_TYPE | typeof AUTHORIZATION_TYPE | typeof WAYPOINT_CONFIG_TYPE;

const KNOWN: ReadonlySet<string> = new Set([ADDRESS_TYPE, WORKLOAD_TYPE, AUTHORIZATION_TYPE, WAYPOINT_CONFIG_TYPE]);

/** Whether `text` names a type this mesh knows. */
export function isTypeUrl(text: string): text is TypeUrl {
  return KNOWN.has(text);
}
