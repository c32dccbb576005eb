import type { Cidr } from '#model/address/ip.ts';

/** How one string is compared. `presence`: any non-empty value. */
export type StringMatch =
  | { kind: 'exact'; value: string }
  | { kind: 'prefix'; value: string }
  | { kind: 'suffix'; value: string }
  | { kind: 'presence' };

/** Both parts exact; the trust domain does not count. */
export type ServiceAccountMatch = { namespace: string; serviceAccount: string };

/** Fields are ANDed, values of one field ORed, `not…` lists must have no hit. All fields empty: never matches. */
export type Match = {
  namespaces: readonly StringMatch[];
  notNamespaces: readonly StringMatch[];
  principals: readonly StringMatch[];
  notPrincipals: readonly StringMatch[];
  sourceIps: readonly Cidr[];
  notSourceIps: readonly Cidr[];
  destinationIps: readonly Cidr[];
  notDestinationIps: readonly Cidr[];
  destinationPorts: readonly number[];
  notDestinationPorts: readonly number[];
  serviceAccounts: readonly ServiceAccountMatch[];
  notServiceAccounts: readonly ServiceAccountMatch[];
};

/** matches are ORed; none: true. */
export type Clause = { matches: readonly Match[] };

/** clauses are ANDed; none: matches everything. */
export type Rule = { clauses: readonly Clause[] };

/** The plain-object twin of `istio.security.Authorization`: an L4 policy. rules are ORed; none: never matches. */
export type Authorization = {
  name: string;
  namespace: string;
  scope: 'global' | 'namespace' | 'workload-selector';
  action: 'allow' | 'deny';
  rules: readonly Rule[];
  dryRun: boolean;
};

/** `<namespace>/<name>`. */
export type PolicyKey = string;

/** Fixed by Istio, whose tools look for it: how the policy of a PeerAuthentication with a selector is called. */
const CONVERTED = 'converted_peer_authentication_';
/** Fixed by Istio: how those are called that stand for every PeerAuthentication alike. */
const CONVERTED_ALL = 'istio_converted_';

/** The name of the policy that stands for the PeerAuthentication of this name. */
export function convertedName(name: string): string {
  return `${CONVERTED}${name}`;
}

/** The PeerAuthentication that a policy of this name stands for; '' when it is one of many, null when it is an AuthorizationPolicy. */
export function convertedFrom(policyName: string): string | null {
  if (policyName.startsWith(CONVERTED)) return policyName.slice(CONVERTED.length);
  return policyName.startsWith(CONVERTED_ALL) ? '' : null;
}

/** The key of a policy. */
export function policyKeyOf(policy: { namespace: string; name: string }): PolicyKey {
  return `${policy.namespace}/${policy.name}`;
}

/** A match with no field set: by itself it never matches. */
export const EMPTY_MATCH: Match = {
  namespaces: [],
  notNamespaces: [],
  principals: [],
  notPrincipals: [],
  sourceIps: [],
  notSourceIps: [],
  destinationIps: [],
  notDestinationIps: [],
  destinationPorts: [],
  notDestinationPorts: [],
  serviceAccounts: [],
  notServiceAccounts: [],
};
