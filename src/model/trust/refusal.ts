/** Why the control plane refuses something to a node or a caller; label values of weft_control_refusals_total. */
export const CONTROL_REFUSALS = {
  unauthenticated: 'no token of this mesh, one that has expired, or one that was revoked',
  'node-elsewhere': "a call with a node's token from another machine than the one that speaks for the node: the token was copied",
  'wrong-node': 'a call for another node, namespace or account than the token is for',
  certificate: 'a certificate for an identity that is not on the node, or that its token does not name',
  'identity-not-granted': 'a workload of an identity that the token of its node does not name',
  'waypoint-not-granted': 'an instance of a waypoint on a node whose token is not for waypoints',
  'address-not-granted': 'a workload with an address outside of the ranges in the token of its node',
  'address-reserved': 'a workload with a loopback, link-local, multicast or unspecified address',
  'address-of-service': 'a workload with the address of a service, or one of the range that services get theirs from',
  'address-of-node': 'a workload with an address of a node itself, or of the gateway of its workloads',
  'address-held': 'a workload with the address of another one whose node lives',
  'name-held': 'a workload with the name of one on another node that lives',
} as const satisfies Readonly<Record<string, string>>;

/** Why it was refused, in a word. */
export type ControlRefusal = keyof typeof CONTROL_REFUSALS;
