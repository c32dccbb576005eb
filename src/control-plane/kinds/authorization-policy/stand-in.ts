import type { PolicyTarget } from '#control-plane/mesh/policy-targets.ts';
import {
  fieldOf,
  isRecord,
  readableMetadata,
  readableSelector,
  type StandIn,
  scopeInWords,
} from '#control-plane/resources/stand-in.ts';
import { type AuthorizationPolicyResource, DRY_RUN_ANNOTATION } from './schema.ts';

const TARGET_KINDS: readonly string[] = ['Gateway', 'GatewayClass', 'Service', 'ServiceEntry'] satisfies PolicyTarget['kind'][];

/**
 * What stands for a policy that cannot be used: it allows nothing to whatever the policy was meant for. Null for one that would
 * have restricted nothing, such as a trial or a record.
 */
export function standInForPolicy(document: unknown, name: string): StandIn | null {
  const metadata = readableMetadata(document, name);
  const spec = fieldOf(document, 'spec');
  const dryRun = /^(1|t|true)$/i.test(metadata.annotations[DRY_RUN_ANNOTATION] ?? '');
  if (fieldOf(spec, 'action') === 'AUDIT' || dryRun) return null;
  const targets = readableTargets(spec);
  // Both, or targets that cannot be read: nobody can tell which was meant, so its whole namespace.
  const isClear = targets !== null && (targets.length === 0 || fieldOf(spec, 'selector') === undefined);
  const selector = isClear ? readableSelector(document) : null;
  const resource: AuthorizationPolicyResource = {
    kind: 'AuthorizationPolicy',
    metadata,
    action: 'ALLOW',
    provider: '',
    selector,
    targets: isClear ? targets : [],
    rules: [],
    dryRun: false,
  };
  const { namespace } = metadata;
  const where =
    resource.targets.length === 0
      ? scopeInWords(namespace, selector)
      : resource.targets.map((target) => `${target.kind} ${namespace}/${target.name}`).join(', ');
  return { resource, effect: `nothing is allowed to ${where}` };
}

/** Empty: it has none. Null: it has some, and not all of them can be read. */
function readableTargets(spec: unknown): PolicyTarget[] | null {
  const [single, several] = [fieldOf(spec, 'targetRef'), fieldOf(spec, 'targetRefs')];
  if (several !== undefined && !Array.isArray(several)) return null;
  const refs: unknown[] = [...(single === undefined ? [] : [single]), ...(several ?? [])];
  const targets = refs.filter(isTarget).map(({ kind, name }): PolicyTarget => ({ kind, name }));
  return targets.length === refs.length ? targets : null;
}

/** A target of another namespace is refused: what was meant there is nobody's to close but that namespace's. */
function isTarget(ref: unknown): ref is PolicyTarget {
  return isRecord(ref) && typeof ref.name === 'string' && typeof ref.kind === 'string' && TARGET_KINDS.includes(ref.kind);
}
