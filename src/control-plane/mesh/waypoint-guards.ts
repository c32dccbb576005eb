import { createHash } from 'node:crypto';
import { defineDerivation, type MeshReader } from '#control-plane/index/derivation.ts';
import { entry, tableOf } from '#control-plane/index/table.ts';
import { ATTACHED_POLICIES } from '#control-plane/mesh/attachments.ts';
import { bindingOfService, type ServiceBinding } from '#control-plane/mesh/service-binding.ts';
import { isGenerated, SERVICES, type ServiceResource } from '#control-plane/mesh/services.ts';
import { BINDING_TABLES, type Binding } from '#control-plane/mesh/waypoint-binding.ts';
import { isRun, WAYPOINTS } from '#control-plane/mesh/waypoints.ts';
import { labelsMatch } from '#control-plane/resources/label-selector.ts';
import { compareText, type Labels } from '#control-plane/resources/metadata.ts';
import {
  type Authorization,
  EMPTY_MATCH,
  type Match,
  type PolicyKey,
  policyKeyOf,
  type Rule,
} from '#model/mesh/authorization.ts';
import type { L7Policy } from '#model/waypoint/config.ts';

// What waypoints enforce holds on every way to a workload, also on those that lead past them: its own address, a headless
// name, another service. Nodes cannot see a request, so they let in nobody but the waypoint there (docs/rules/control-plane.md).

/** The waypoints of a service that asks for one. */
export type Guard = {
  /** Those of its waypoint and of that one's canary; empty: there is none that could serve it, so nobody gets in. */
  principals: readonly string[];
  /** Some policy in force at either waypoint may refuse what is sent to the service. */
  restricts: boolean;
};

/** By `<namespace>/<name>` of the service; only of those whose waypoint is ours to run, or missing. */
export const GUARDS = tableOf<Guard>()('guards');

/** What guards look up. */
const GUARD_READS = [ATTACHED_POLICIES, ...BINDING_TABLES] as const;

/** Whether a service's waypoint has something to enforce; apart from the service, since policies look at services in turn. */
export const waypointGuards = defineDerivation({
  name: 'waypoint guard',
  each: SERVICES,
  reads: [...GUARD_READS],
  writes: [GUARDS],
  derive({ key, value: service }, mesh) {
    if (service.externalName !== null || isGenerated(service)) return [];
    const guard = guardOf(bindingOfService(service, mesh), [`Service ${key}`], mesh);
    return guard === null ? [] : [entry(GUARDS, key, guard)];
  },
});

/** The guard that follows from a binding; `targets`: what policies may name beside the waypoint. Null: no waypoint of ours. */
export function guardOf(
  { gateway, address, canary = null }: Binding & Partial<Pick<ServiceBinding, 'canary'>>,
  targets: readonly string[],
  mesh: MeshReader<(typeof GUARD_READS)[number]>,
): Guard | null {
  if (address === null) return null;
  const gateways = [gateway, canary?.gateway].filter((one) => one != null);
  const infos = gateways.flatMap((one) => mesh.get(WAYPOINTS, one) ?? []);
  // A Gateway of others: its own controller closes what is to be closed. It has no canary.
  if (infos.some(({ managed }) => !managed)) return null;
  const { rootNamespace, trustDomain } = mesh.options;
  const policiesOf = (target: string): L7Policy[] =>
    mesh.valuesBy(ATTACHED_POLICIES, 'target', target).map(({ policy }) => policy);
  const policies = [
    ...targets.flatMap(policiesOf),
    ...gateways.flatMap((one) => policiesOf(`Gateway ${one}`)),
    ...infos.flatMap((one) => policiesOf(`GatewayClass ${one.className}`)).filter(({ namespace }) => namespace === rootNamespace),
  ];
  return {
    principals: infos.filter(isRun).map((one) => `${trustDomain}/ns/${one.namespace}/sa/${one.serviceAccount}`),
    restricts: policies.some(({ action, dryRun, rules }) => !dryRun && (action === 'allow' || rules.length > 0)),
  };
}

/** A DENY policy without targets that asks for what only a request shows. */
export type HttpDeny = {
  namespace: string;
  /** null: its whole namespace, or the mesh from the root namespace. */
  selector: Labels | null;
  /** As nodes enforce it: without regard to what they cannot see. */
  authorization: Authorization;
  /** Indexes of the rules that deny more at a node than was written. */
  httpRules: readonly number[];
  /** As a waypoint enforces it. */
  policy: L7Policy;
};

/** Such policies, by `<namespace>/<name>`. */
export const HTTP_DENIES = tableOf<HttpDeny>()('http-denies', { by: { namespace: ({ namespace }) => [namespace] } });

/**
 * The HTTP denials that the waypoint of a service enforces in full: those that hold for every workload it selects. One that
 * picks only some of them is left to the nodes, as the waypoint does not choose an endpoint by what it would refuse there.
 */
export function httpDeniesAt({ metadata, selector }: ServiceResource, mesh: MeshReader<typeof HTTP_DENIES>): HttpDeny[] {
  return httpDeniesOf(metadata.namespace, selector ?? {}, mesh);
}

/** Those that pick these labels, of the namespace and of the root namespace, in order of key. */
function httpDeniesOf(namespace: string, labels: Labels, mesh: MeshReader<typeof HTTP_DENIES>): HttpDeny[] {
  const scopes = [...new Set([namespace, mesh.options.rootNamespace])];
  const all = scopes.flatMap((scope) => mesh.valuesBy(HTTP_DENIES, 'namespace', scope));
  return all.filter(({ selector }) => labelsMatch(selector ?? {}, labels));
}

/** One service of a workload, with the ports of the workload that it leads to. */
export type GuardedService = { service: ServiceResource; guard: Guard | null; ports: readonly number[] };

/**
 * The policies of nodes that follow from waypoints for one workload. Workloads in the same place share them: they are named
 * after what they say. `own`: the guard of the workload's own waypoint, which takes what is sent to its address.
 */
export function policiesOfWaypoints(
  workload: { namespace: string; labels: Labels },
  services: readonly GuardedService[],
  own: Guard | null,
  mesh: MeshReader<typeof HTTP_DENIES>,
): Authorization[] {
  const closed = waypointOnly(workload.namespace, services, own);
  const denies = httpDeniesOf(workload.namespace, workload.labels, mesh).map((deny) => withoutWaypoints(deny, services));
  return closed === null ? denies : [closed, ...denies];
}

/** Lets in nobody but the waypoints, at the ports where they have something to enforce; null where none has. */
function waypointOnly(namespace: string, services: readonly GuardedService[], own: Guard | null): Authorization | null {
  const principals = services.flatMap(({ guard }) => guard?.principals ?? []);
  const matches: Match[] = [];
  if (own?.restricts) matches.push(allBut([...principals, ...own.principals], []));
  const ports = new Map<number, Set<string>>();
  for (const { guard, ports: list } of services) {
    if (!guard?.restricts) continue;
    for (const port of list) {
      const known = ports.get(port) ?? new Set();
      for (const principal of guard.principals) known.add(principal);
      ports.set(port, known);
    }
  }
  for (const [port, known] of [...ports].sort(([a], [b]) => a - b)) matches.push(allBut([...known], [port]));
  if (matches.length === 0) return null;
  const rules = matches.map((match): Rule => ({ clauses: [{ matches: [match] }] }));
  return named({ name: 'weft-waypoint-only', namespace, scope: 'workload-selector', action: 'deny', rules, dryRun: false });
}

/** Matches everybody else, also whoever has no identity. */
function allBut(principals: readonly string[], destinationPorts: readonly number[]): Match {
  const distinct = [...new Set(principals)].sort(compareText);
  return { ...EMPTY_MATCH, notPrincipals: distinct.map((value) => ({ kind: 'exact', value })), destinationPorts };
}

/**
 * Spares the waypoints that check the policy themselves: their calls bring requests that it did not refuse. A waypoint that
 * also leads here by a service for which it does not check the policy is not spared.
 */
function withoutWaypoints(deny: HttpDeny, services: readonly GuardedService[]): Authorization {
  const checks = ({ service }: GuardedService) => labelsMatch(deny.selector ?? {}, service.selector ?? {});
  const unsure = new Set(services.filter((one) => !checks(one)).flatMap(({ guard }) => guard?.principals ?? []));
  const spared = services.filter(checks).flatMap(({ guard }) => guard?.principals ?? []);
  const principals = spared.filter((principal) => !unsure.has(principal));
  if (principals.length === 0) return deny.authorization;
  const others = { matches: [allBut(principals, [])] };
  const { rules } = deny.authorization;
  return named({
    ...deny.authorization,
    rules: rules.map((rule, at) => (deny.httpRules.includes(at) ? { clauses: [...rule.clauses, others] } : rule)),
  });
}

/** Equal contents, equal names, whichever workload they were worked out for. */
function named(policy: Authorization): Authorization {
  const hash = createHash('sha1').update(JSON.stringify(policy.rules)).digest('hex');
  return { ...policy, name: `${policy.name}-${hash}` };
}

/** Their keys, in order. */
export function keysOf(policies: readonly Authorization[]): PolicyKey[] {
  return policies.map(policyKeyOf).sort(compareText);
}
