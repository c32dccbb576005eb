import type { Condition } from '#control-plane/index/index-delta.ts';
import type { AttachedPolicy } from '#control-plane/index/index-outputs.ts';
import type { IndexState } from '#control-plane/index/index-state.ts';
import type { Token } from '#control-plane/index/invalidation.ts';
import { convertToL4 } from '#control-plane/index/l4-authorization.ts';
import { convertToL7, type L7Conversion } from '#control-plane/index/l7-authorization.ts';
import { namespaceOf } from '#control-plane/index/mesh-inputs.ts';
import { WAYPOINT_CLASSES } from '#control-plane/index/well-known.ts';
import { type Problem, warningAt } from '#control-plane/resources/finding.ts';
import type { AuthorizationPolicyResource, PolicyTarget } from '#control-plane/resources/kinds/authorization-policy.ts';
import { didYouMean } from '#control-plane/resources/nearest-name.ts';
import { nameOf, nameOfResource, type ResourceName } from '#control-plane/resources/resource.ts';
import { RESOURCE } from '#model/settings/control-planes.ts';

/** Derives one AuthorizationPolicy: for nodes when it has no targets, else for the waypoints it is attached to. */
export function deriveAuthorization(key: string, state: IndexState): void {
  const { inputs, outputs, invalidation } = state;
  const policy = inputs.authorizations.get(key);
  if (policy === null) {
    const namespace = namespaceOf(key);
    const name = nameOf({ kind: 'AuthorizationPolicy', namespace, name: key.slice(namespace.length + 1) });
    outputs.policies.set(key, null);
    invalidation.setReads('authorization', key, []);
    outputs.setStatus(name, [], []);
    attach(key, null, state);
    return;
  }
  if (policy.targets.length > 0) deriveForWaypoints(key, policy, state);
  else deriveForNodes(key, policy, state);
}

function deriveForNodes(key: string, policy: AuthorizationPolicyResource, state: IndexState): void {
  const { outputs, invalidation, options } = state;
  const { authorization, problems, condition } = convertToL4(policy, options);
  const resource = nameOfResource(policy);
  outputs.policies.set(key, authorization);
  invalidation.setReads('authorization', key, []);
  attach(key, null, state);
  const types = ['ZtunnelAccepted', 'weft.dev/NodeProxyAccepted'];
  outputs.setStatus(
    resource,
    types.map((type) => ({ resource, type, ...condition })),
    problems,
  );
}

function deriveForWaypoints(key: string, resource: AuthorizationPolicyResource, state: IndexState): void {
  const { outputs, invalidation } = state;
  const conversion = convertToL7(resource);
  const reads: Token[] = [];
  const misses = resource.targets.flatMap((target, at) => missOf(target, at, resource, reads, state) ?? []);
  outputs.policies.set(key, null);
  invalidation.setReads('authorization', key, reads);
  const { policy } = conversion;
  attach(key, policy === null ? null : { policy, namespace: resource.metadata.namespace, targets: resource.targets }, state);
  const name = nameOfResource(resource);
  outputs.setStatus(
    name,
    [waypointAccepted(name, conversion, misses)],
    [...conversion.problems, ...misses.map(({ problem }) => problem)],
  );
}

/** Keeps the policy for the waypoints, and tells those it concerns or concerned. */
function attach(key: string, attached: AttachedPolicy | null, { outputs, invalidation }: IndexState): void {
  if (!outputs.attachedPolicies.set(key, attached)) return;
  const before = outputs.policyTargets.targetsOf(key);
  const after = attached === null ? [] : attached.targets.map((target) => targetName(target, attached.namespace));
  outputs.policyTargets.set(key, after);
  for (const target of new Set([...before, ...after])) invalidation.markAll('waypoint', waypointsOf(target, outputs));
}

/** `Service shop/reviews`, `Gateway shop/waypoint` or `GatewayClass weft-waypoint`. */
export function targetName({ kind, name }: PolicyTarget, namespace: string): string {
  return kind === 'GatewayClass' ? `${kind} ${name}` : `${kind} ${namespace}/${name}`;
}

function waypointsOf(target: string, outputs: IndexState['outputs']): readonly string[] {
  const [kind = '', key = ''] = target.split(' ');
  if (kind === 'Service') return outputs.bindings.targetsOf(key);
  if (kind === 'Gateway') return [key];
  return [...outputs.gateways.all().values()].filter(({ className }) => className === key).map((info) => info.key);
}

/** Why no waypoint enforces the policy for one of its targets. */
type Miss = { reason: 'TargetNotFound' | 'AncestorNotBound' | 'Invalid'; problem: Problem };

function missOf(
  target: PolicyTarget,
  at: number,
  policy: AuthorizationPolicyResource,
  reads: Token[],
  state: IndexState,
): Miss | null {
  const miss = whyNotEnforced(target, policy.metadata.namespace, reads, state);
  if (miss === null) return null;
  const path = ['spec', 'targetRefs', at];
  const code = miss.reason === 'TargetNotFound' ? 'WEFT_REFERENCE_UNRESOLVED' : 'WEFT_NOT_ENFORCED';
  return { reason: miss.reason, problem: warningAt(code, path, miss.message, miss.remedy) };
}

type Why = { reason: Miss['reason']; message: string; remedy: string };

function whyNotEnforced(target: PolicyTarget, namespace: string, reads: Token[], state: IndexState): Why | null {
  const key = `${namespace}/${target.name}`;
  switch (target.kind) {
    case 'Service':
      reads.push(`service ${key}`, `service-binding ${key}`);
      return serviceMiss(key, target.name, namespace, reads, state);
    case 'Gateway':
      reads.push(`gateway ${key}`);
      return gatewayMiss(key, target.name, namespace, reads, state);
    case 'GatewayClass':
      return classMiss(target.name, namespace, state);
    case 'ServiceEntry':
      return { reason: 'TargetNotFound', message: `ServiceEntry ${key} is not read by Weft`, remedy: 'target a Service' };
  }
}

function serviceMiss(key: string, name: string, namespace: string, reads: Token[], { inputs, outputs }: IndexState): Why | null {
  if (inputs.service(key) === null) {
    reads.push(`service-names ${namespace}`);
    const message = `Service ${key} not found${didYouMean(name, inputs.serviceNamesIn(namespace))}`;
    return { reason: 'TargetNotFound', message, remedy: 'correct the name, or create the Service' };
  }
  const [gateway] = outputs.bindings.targetsOf(key);
  if (gateway !== undefined) reads.push(`gateway ${gateway}`);
  if (gateway !== undefined && outputs.gateways.get(gateway)?.managed === true) return null;
  const message = `Service ${key} has no waypoint, so nothing enforces the policy for it`;
  return { reason: 'AncestorNotBound', message, remedy: 'label the Service or its namespace istio.io/use-waypoint: <gateway>' };
}

function gatewayMiss(key: string, name: string, namespace: string, reads: Token[], { inputs, outputs }: IndexState): Why | null {
  const info = outputs.gateways.get(key);
  if (info === null) {
    reads.push(`gateway-names ${namespace}`);
    const message = `Gateway ${key} not found${didYouMean(name, inputs.gateways.namesIn(namespace))}`;
    return { reason: 'TargetNotFound', message, remedy: 'correct the name, or create the Gateway' };
  }
  if (info.managed) return null;
  const message = `Gateway ${key} is of class ${info.className}, which Weft does not run`;
  return { reason: 'TargetNotFound', message, remedy: `use one of the classes ${WAYPOINT_CLASSES.join(', ')}` };
}

function classMiss(name: string, namespace: string, { options }: IndexState): Why | null {
  if (!WAYPOINT_CLASSES.includes(name)) {
    const message = `GatewayClass ${name} is not one that Weft runs${didYouMean(name, WAYPOINT_CLASSES)}`;
    return { reason: 'TargetNotFound', message, remedy: `use one of ${WAYPOINT_CLASSES.join(', ')}` };
  }
  if (namespace === options.rootNamespace) return null;
  const message = `a policy for a whole GatewayClass counts only in the root namespace ${options.rootNamespace}`;
  return { reason: 'Invalid', message, remedy: `move the policy to ${options.rootNamespace}, or target a Gateway` };
}

function waypointAccepted(resource: ResourceName, { policy, problems }: L7Conversion, misses: readonly Miss[]): Condition {
  const [miss] = misses;
  const messages = [...problems, ...misses.map(({ problem }) => problem)].map(({ message }) => message);
  const message = messages.slice(0, RESOURCE.messagesMax).join('; ') || 'enforced by the waypoints';
  const base = { resource, type: 'WaypointAccepted', message };
  if (policy === null) return { ...base, status: 'False', reason: 'Invalid' };
  if (miss !== undefined) return { ...base, status: 'False', reason: miss.reason };
  return { ...base, status: 'True', reason: problems.length > 0 ? 'PartiallyInvalid' : 'Accepted' };
}
