import type { Identity } from '#model/identity/identity.ts';
import { compileTests, type RouteRequest } from '#model/routing/candidate.ts';
import type { TrafficMatch } from '#model/waypoint/traffic.ts';

/** Whether a request of a client is meant. */
export type TrafficTest = (request: RouteRequest, client: Identity | null) => boolean;

const EVERY: TrafficTest = () => true;

/** Null when a pattern of it cannot be used; then it is reported through `problem`, and nothing is meant. */
export function compileTrafficMatch(match: TrafficMatch | null, problem: (why: string) => void): TrafficTest | null {
  if (match === null) return EVERY;
  const { methods, path, headers, queryParams, namespaces, serviceAccounts } = match;
  const tests = compileTests({ path, method: null, headers, queryParams }, problem);
  if (tests === null) return null;
  return (request, client) => {
    if (methods.length > 0 && !methods.includes(request.method)) return false;
    // Who has no identity is of no namespace.
    if (namespaces.length > 0 && !(client !== null && namespaces.includes(client.namespace))) return false;
    if (serviceAccounts.length > 0 && !(client !== null && serviceAccounts.includes(accountOf(client)))) return false;
    return tests.every((test) => test(request));
  };
}

/** `<namespace>/<name>`. */
export function accountOf({ namespace, serviceAccount }: Identity): string {
  return `${namespace}/${serviceAccount}`;
}
