import type { PolicyTarget } from '#control-plane/mesh/policy-targets.ts';
import type { Labels, Metadata, RawMetadata, RawWorkloadSelector } from '#control-plane/resources/metadata.ts';

/** What a matching rule leads to. */
export type PolicyAction = 'ALLOW' | 'DENY' | 'AUDIT' | 'CUSTOM';

/** Fields of a source; each is a list whose items are ORed. */
export const SOURCE_FIELDS = [
  'principals',
  'notPrincipals',
  'requestPrincipals',
  'notRequestPrincipals',
  'namespaces',
  'notNamespaces',
  'serviceAccounts',
  'notServiceAccounts',
  'trustDomains',
  'notTrustDomains',
  'ipBlocks',
  'notIpBlocks',
  'remoteIpBlocks',
  'notRemoteIpBlocks',
] as const;
/** Name of a field of a source. */
export type SourceField = (typeof SOURCE_FIELDS)[number];

/** Fields of an operation; each is a list whose items are ORed. */
export const OPERATION_FIELDS = ['hosts', 'notHosts', 'ports', 'notPorts', 'methods', 'notMethods', 'paths', 'notPaths'] as const;
/** Name of a field of an operation. */
export type OperationField = (typeof OPERATION_FIELDS)[number];

/** Every field is there; an empty list restricts nothing. */
export type PolicySource = Readonly<Record<SourceField, readonly string[]>>;
/** Every field is there; an empty list restricts nothing. */
export type PolicyOperation = Readonly<Record<OperationField, readonly string[]>>;
/** One value must match, and none of `notValues`; an empty list restricts nothing. */
export type PolicyCondition = { key: string; values: readonly string[]; notValues: readonly string[] };

/** from entries ORed, to entries ORed, when entries ANDed; an empty list restricts nothing. */
export type PolicyRule = {
  from: readonly PolicySource[];
  to: readonly PolicyOperation[];
  when: readonly PolicyCondition[];
};

/** Who may do what; the values have passed the rules. */
export type AuthorizationPolicyResource = {
  kind: 'AuthorizationPolicy';
  metadata: Metadata;
  action: PolicyAction;
  /** Of CUSTOM, who decides, as the mesh configuration calls it; '' of other actions. */
  provider: string;
  /** null: the whole namespace (or mesh, in the root namespace), unless there are targets. */
  selector: Labels | null;
  /** Not empty: enforced by waypoints only. */
  targets: readonly PolicyTarget[];
  rules: readonly PolicyRule[];
  /** Decided and reported, never enforced. */
  dryRun: boolean;
};

/** An entry of targetRefs as written. */
export type RawTargetRef = { group?: string; kind: string; name: string; namespace?: string };

/** A source as written. */
export type RawSource = Partial<Record<SourceField, string[]>>;
/** An operation as written. */
export type RawOperation = Partial<Record<OperationField, string[]>>;
/** A `when` entry as written. */
export type RawCondition = { key: string; values?: string[]; notValues?: string[] };

/** A rule as written. */
export type RawRule = {
  from?: { source?: RawSource }[];
  to?: { operation?: RawOperation }[];
  when?: RawCondition[];
};

/** The document, once its schema has passed. */
export type RawAuthorizationPolicy = {
  metadata: RawMetadata;
  spec?: {
    action?: PolicyAction;
    provider?: { name?: string };
    selector?: RawWorkloadSelector;
    targetRef?: RawTargetRef;
    targetRefs?: RawTargetRef[];
    rules?: RawRule[];
  };
};

/** The annotation that turns a policy into a report. */
export const DRY_RUN_ANNOTATION = 'istio.io/dry-run';
