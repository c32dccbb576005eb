import type { MeshReader } from '#control-plane/index/derivation.ts';
import { type Labelled, tableOf } from '#control-plane/index/table.ts';
import { byAge, type Labels, type Metadata } from '#control-plane/resources/metadata.ts';
import type { PolicyKey } from '#model/mesh/authorization.ts';

/** An L4 policy that is attached to the workloads it selects. */
export type SelectingPolicy = Labelled & { policy: PolicyKey };

/** Authorization that nodes enforce at single workloads, by `<namespace>/<name>`. */
export const NODE_POLICIES = tableOf<SelectingPolicy>()('node-policies', { selector: (value) => value });

/** What the peers of the selected workloads must be; `policy` null: anything. The oldest counts. */
export type SelectingPeerPolicy = Labelled & {
  metadata: Pick<Metadata, 'createdAtMs' | 'namespace' | 'name'>;
  policy: PolicyKey | null;
};

/** Demands on peers that hold for the workloads they select, by `<namespace>/<name>`. */
export const SELECTED_PEERS = tableOf<SelectingPeerPolicy>()('selected-peers', { selector: (value) => value });

/** A mode with nothing left to inherit. */
export type EffectiveMode = 'PERMISSIVE' | 'STRICT';

/** What one policy without a selector says for its whole namespace; null: what the next wider one says. */
export type NamespaceMode = { mode: EffectiveMode | null; name: string };

/** By namespace; that of the root namespace is the mesh's. The oldest policy of a namespace counts. */
export const NAMESPACE_MODES = tableOf<NamespaceMode>()('namespace-modes');

/** The tables that decide which L4 policies a workload has. */
export const POLICY_TABLES = [NODE_POLICIES, SELECTED_PEERS, NAMESPACE_MODES] as const;

/** The mode that a namespace gives its workloads: its own, else that of the root namespace, else PERMISSIVE. */
export function inheritedMode(mesh: MeshReader<typeof NAMESPACE_MODES>, namespace: string): EffectiveMode {
  const own = mesh.get(NAMESPACE_MODES, namespace)?.mode ?? null;
  return own ?? mesh.get(NAMESPACE_MODES, mesh.options.rootNamespace)?.mode ?? 'PERMISSIVE';
}

const STATIC_STRICT = 'istio_converted_static_strict';

/** Name and key of the policy that stands for STRICT at every port. */
export function staticStrictKey(rootNamespace: string): { name: string; key: PolicyKey } {
  return { name: STATIC_STRICT, key: `${rootNamespace}/${STATIC_STRICT}` };
}

/** Keys of a workload's policies: those of its namespace and of the root namespace, then the one for its peers. */
export function policiesOfWorkload(
  mesh: MeshReader<(typeof POLICY_TABLES)[number]>,
  namespace: string,
  labels: Labels,
): PolicyKey[] {
  const { rootNamespace } = mesh.options;
  const scopes = [...new Set([namespace, rootNamespace])];
  const own = scopes.flatMap((scope) => mesh.picking(NODE_POLICIES, scope, labels)).map(({ policy }) => policy);
  const peers = peerPolicyOf(mesh, namespace, labels);
  return peers === null ? own.sort() : [...own.sort(), peers];
}

function peerPolicyOf(
  mesh: MeshReader<typeof SELECTED_PEERS | typeof NAMESPACE_MODES>,
  namespace: string,
  labels: Labels,
): PolicyKey | null {
  const [oldest] = mesh.picking(SELECTED_PEERS, namespace, labels).toSorted(byAge);
  if (oldest !== undefined) return oldest.policy;
  return inheritedMode(mesh, namespace) === 'STRICT' ? staticStrictKey(mesh.options.rootNamespace).key : null;
}
