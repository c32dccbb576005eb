import { type Derivation, defineDerivation } from '#control-plane/index/derivation.ts';
import type { Condition } from '#control-plane/index/index-delta.ts';
import { type MeshOptions, serviceHostname } from '#control-plane/index/mesh-options.ts';
import { falseCondition, STATUS, statusOf, trueCondition } from '#control-plane/index/outputs.ts';
import { entry, type Table } from '#control-plane/index/table.ts';
import type { AttachedRoute } from '#control-plane/mesh/attachments.ts';
import {
  type Attachment,
  acceptedConditions,
  attachParent,
  type Refusal,
  ROUTE_TABLES,
} from '#control-plane/mesh/route-parents.ts';
import type { ServiceResource } from '#control-plane/mesh/services.ts';
import { servedCondition, type Unserved, unservedOf, unservedProblems } from '#control-plane/mesh/unserved-routes.ts';
import type { Problem } from '#control-plane/resources/finding.ts';
import { nameOfResource, type ResourceName } from '#control-plane/resources/resource.ts';
import { type ServiceKey, serviceKeyOf } from '#model/mesh/service.ts';
import { RESOURCE } from '#model/settings/control-planes.ts';
import type { HttpRoute, HttpRouteRule } from '#model/waypoint/config.ts';
import type { Claim, ClaimMesh } from './claim.ts';
import { type CompiledRules, compileRules } from './compile.ts';
import type { RequestRouteResource } from './documents.ts';

/** What becomes of each route of a table: `writes` says which services it is attached to, and what its rules come to. */
export function deriveRequestRoutes(each: Table<RequestRouteResource>, writes: Table<AttachedRoute>, claim: Claim): Derivation {
  return defineDerivation({
    name: `request route in ${each.name}`,
    each,
    reads: [...ROUTE_TABLES, ...claim.reads],
    writes: [writes, ...STATUS],
    derive({ key, value: route }, mesh) {
      const { attached, conditions, problems } = deriveRoute(route, mesh, claim);
      const { createdAtMs, namespace, name } = route.metadata;
      const metadata = { createdAtMs, namespace, name };
      return [
        ...[...attached].map(([service, one]) => entry(writes, `${key} ${service}`, { service, metadata, route: one })),
        ...statusOf(nameOfResource(route), conditions, problems),
      ];
    },
  });
}

/** What becomes of one route. */
type DerivedRoute = {
  /** Service key → the route as its waypoint serves it. */
  attached: ReadonlyMap<ServiceKey, HttpRoute>;
  conditions: Condition[];
  problems: Problem[];
};

/** Attaches a route to the services it names. Nothing in it is skipped in silence: what cannot be done answers 500. */
function deriveRoute(route: RequestRouteResource, mesh: ClaimMesh, claim: Claim): DerivedRoute {
  const attachments: Attachment[] = [];
  const refusals: Refusal[] = [];
  for (const [at, parent] of route.parents.entries()) {
    const path = ['spec', 'parentRefs', at];
    const found = attachParent(parent, path, mesh);
    const outcome = found === null || 'reason' in found ? found : claim.ports(found, path, mesh);
    if (outcome !== null && 'reason' in outcome) refusals.push(outcome);
    else if (outcome !== null) attachments.push(outcome);
  }
  const attached = new Map<ServiceKey, HttpRoute>();
  const compiled: CompiledRules[] = [];
  // Several references to one service are one route there, at all of their ports.
  for (const group of Map.groupBy(attachments, ({ service }) => nameOfResource(service)).values()) {
    const [first] = group;
    if (first === undefined) continue;
    const rules = compileRules(route, first.service.metadata.namespace, mesh);
    compiled.push(rules);
    attached.set(keyOf(first.service, mesh.options), toHttpRoute(route, group, rules.rules));
  }
  const unserved = unservedOf(
    attachments.map(({ parent }) => ({
      service: `${parent.namespace}/${parent.name}`,
      path: ['spec', 'parentRefs', route.parents.indexOf(parent)],
    })),
    mesh,
  );
  return {
    attached,
    conditions: conditionsOf(route, attachments, refusals, compiled, unserved),
    problems: [...refusals.map(({ problem }) => problem), ...distinctProblems(compiled), ...unservedProblems(unserved)],
  };
}

/** Waypoints know services by hostname. */
function keyOf({ metadata: { namespace, name } }: ServiceResource, options: MeshOptions): ServiceKey {
  return serviceKeyOf({ namespace, hostname: serviceHostname(namespace, name, options) });
}

/** A route of another namespace than the service's is a consumer's: it concerns clients of its own namespace only. */
function toHttpRoute(
  { metadata }: RequestRouteResource,
  group: readonly Attachment[],
  rules: readonly HttpRouteRule[],
): HttpRoute {
  const every = group.some(({ ports }) => ports === null);
  const ports = [...new Set(group.flatMap((one) => one.ports ?? []))].sort((a, b) => a - b);
  // Then it holds for requests from its own namespace only.
  const consumer = group[0]?.service.metadata.namespace !== metadata.namespace;
  return {
    namespace: metadata.namespace,
    name: metadata.name,
    ports: every ? null : ports,
    clientNamespace: consumer ? metadata.namespace : null,
    rules,
  };
}

/** A route with several parents compiles its rules once per parent; each problem is told once. */
function distinctProblems(compiled: readonly CompiledRules[]): Problem[] {
  const byText = new Map(
    compiled.flatMap(({ problems }) => problems).map((one) => [`${one.path.join('/')} ${one.message}`, one]),
  );
  return [...byText.values()];
}

/** `unserved`: attached, but to services that no waypoint of ours serves. */
function conditionsOf(
  route: RequestRouteResource,
  attachments: readonly Attachment[],
  refusals: readonly Refusal[],
  compiled: readonly CompiledRules[],
  unserved: readonly Unserved[],
): Condition[] {
  // All parents belong to other controllers, who write the status.
  if (attachments.length + refusals.length === 0) return [];
  const resource = nameOfResource(route);
  const accepted = acceptedConditions(resource, route.parents, refusals);
  const served = attachments.length === 0 ? [] : [servedCondition(resource, unserved)];
  return [...accepted, resolvedCondition(resource, compiled), ...stricterConditions(resource, compiled), ...served];
}

/** The reason of the first backend that does not resolve; the message names the others too. */
function resolvedCondition(resource: ResourceName, compiled: readonly CompiledRules[]): Condition {
  const reason = compiled.map((rules) => rules.reason).find((one) => one !== null);
  if (reason === undefined) return trueCondition(resource, 'ResolvedRefs', 'ResolvedRefs', 'all backends resolve');
  const messages = distinctProblems(compiled).map(({ message }) => message);
  return falseCondition(resource, 'ResolvedRefs', reason, messages.slice(0, RESOURCE.messagesMax).join('; '));
}

/** Present only when some rule answers 500 in place of what it asks for. */
function stricterConditions(resource: ResourceName, compiled: readonly CompiledRules[]): Condition[] {
  const rules = [...new Set(compiled.flatMap(({ stricter }) => stricter))];
  if (rules.length === 0) return [];
  const message = `Dropped Rule ${rules.join(', ')}: a filter is not supported, so its requests are answered 500`;
  return [trueCondition(resource, 'PartiallyInvalid', 'UnsupportedValue', message)];
}
