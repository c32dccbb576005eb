import { workloadOf } from '#control-plane/index/derive-workload.ts';
import type { Endpoint } from '#control-plane/index/endpoint.ts';
import type { IndexState } from '#control-plane/index/index-state.ts';
import { inheritedMode, peerPolicyKey, selectedPolicy } from '#control-plane/index/peer-authentication.ts';
import { bindingFor } from '#control-plane/index/stages/bind.ts';
import { type Binding, UNBOUND, waypointCondition } from '#control-plane/index/waypoint-binding.ts';
import { LABEL } from '#control-plane/index/well-known.ts';
import { type Problem, warningAt } from '#control-plane/resources/finding.ts';

/** Derives one workload: the services it joins, its policies and its waypoint. */
export function deriveWorkload(uid: string, state: IndexState): void {
  const { inputs, outputs, options } = state;
  const endpoint = inputs.endpoints.get(uid) ?? null;
  if (endpoint === null) {
    dropWorkload(uid, state);
    return;
  }
  const binding = bindEndpoint(endpoint, state);
  const services = inputs.serviceSelectors
    .picking(endpoint.namespace, endpoint.labels)
    .flatMap((key) => inputs.service(key) ?? []);
  const facts = { services, waypoint: binding.address, policies: policiesOf(endpoint, state) };
  outputs.workloads.set(uid, workloadOf(endpoint, facts, options));
  outputs.workloadResources.set(uid, endpoint.resource);
  // Pods have no status of ours: what is wrong with their binding is a problem only.
  const conditions = endpoint.kind === 'entry' ? waypointCondition(endpoint.resource, binding) : [];
  const problems = [...(binding.problem === null ? [] : [binding.problem]), ...registrationProblems(uid, state)];
  outputs.setStatus(endpoint.resource, conditions, problems);
}

function dropWorkload(uid: string, { outputs, invalidation }: IndexState): void {
  outputs.workloads.set(uid, null);
  invalidation.setReads('workload', uid, []);
  const resource = outputs.workloadResources.get(uid);
  if (resource !== undefined) outputs.setStatus(resource, [], []);
  outputs.workloadResources.delete(uid);
}

function registrationProblems(uid: string, { inputs }: IndexState): Problem[] {
  const nodes = inputs.registrations.nodesOf(uid);
  if (nodes.length < 2) return [];
  const message = `nodes ${nodes.join(' and ')} run a workload of this name; only that of ${nodes[0]} is known to the mesh`;
  return [warningAt('WEFT_WORKLOAD_DUPLICATE', [], message, 'give each workload of a namespace its own name')];
}

/** Instances of a waypoint never have one. */
function bindEndpoint(endpoint: Endpoint, state: IndexState): Binding {
  const { uid, namespace, labels } = endpoint;
  const gateway = labels[LABEL.gatewayName];
  if (gateway !== undefined && state.outputs.gateways.get(`${namespace}/${gateway}`) !== null) {
    state.invalidation.setReads('workload', uid, []);
    return UNBOUND;
  }
  return bindingFor('workload', uid, namespace, labels, state);
}

/** Selector-scoped policies: those of its namespace and of the root namespace, then PeerAuthentication's. */
function policiesOf({ namespace, labels }: Endpoint, { inputs, options }: IndexState): string[] {
  const { rootNamespace } = options;
  const root = namespace === rootNamespace ? [] : inputs.policySelectors.picking(rootNamespace, labels);
  const keys = [...inputs.policySelectors.picking(namespace, labels), ...root].sort();
  const own = inputs.peers.valuesIn(namespace);
  const inherited = inheritedMode(own, inputs.peers.valuesIn(rootNamespace));
  // In the root namespace a selector would reach beyond its own workloads; ambient meshes skip such policies.
  const selected = namespace === rootNamespace ? null : selectedPolicy(own, labels);
  const peer = peerPolicyKey(selected, inherited, rootNamespace);
  return peer === null ? keys : [...keys, peer];
}
