import type { FindingStatus, Origin } from './control.ts';

/**
 * Resources through the control plane's local API (see control.ts), for `weft apply`, `get`, `delete` and `diff`:
 *
 *   POST /v1/resources/apply   { resources: GivenResource[], dryRun } → { resources: AppliedResource[] }
 *   POST /v1/resources/delete  { resources: GivenResource[] } or { kind, namespace, names } → { resources: DeletedResource[] }
 *   POST /v1/resources/diff    { resources: GivenResource[] } → { resources: ComparedResource[] }
 *   POST /v1/resources/list    ListRequest → ListAnswer
 */
export type GivenResource = {
  /** Where its author keeps it, for messages; lines count from 1. */
  file: string;
  line: number;
  /** One YAML document, as it is to be kept. */
  text: string;
  /** The same as a value; {} of a document that cannot be read. */
  object: object;
};

/** What became of one. `ignored`: of a kind that Weft does not read. */
export type ApplyOutcome = 'created' | 'configured' | 'unchanged' | 'refused' | 'ignored';

/** `resource`: `Kind namespace/name`, or '' where nobody can tell. `origin`: where it is kept now, or null. */
export type AppliedResource = {
  resource: string;
  outcome: ApplyOutcome;
  origin: Origin | null;
  findings: FindingStatus[];
};

/** `failed`: it stays, for the reason that `findings` tell. */
export type DeletedResource = { resource: string; outcome: 'deleted' | 'absent' | 'failed'; findings: FindingStatus[] };

/** What is kept of a resource, and what would be kept; null: nothing. */
export type ComparedResource = { resource: string; before: object | null; after: object | null; findings: FindingStatus[] };

/** Null: any. `after`: the last one of the answer before. `objects`: whether to tell what they say, too. */
export type ListRequest = {
  kind: string | null;
  namespace: string | null;
  name: string | null;
  after: string | null;
  objects: boolean;
};

/** One resource that is kept. inForce: false when it was refused, or another document of the same name counts. */
export type ListedResource = {
  kind: string;
  namespace: string;
  name: string;
  origin: Origin;
  inForce: boolean;
  object?: object;
};

/** Some of those asked for; `next` is given as `after` for those that follow, null with the last ones. */
export type ListAnswer = { resources: ListedResource[]; next: string | null };

/** The part of the control plane's client for resources; errors as of ControlClient, and WEFT_KIND_UNREAD. */
export type ResourceClient = {
  apply(resources: readonly GivenResource[], dryRun: boolean): Promise<AppliedResource[]>;
  remove(
    what: { resources: readonly GivenResource[] } | { kind: string; namespace: string; names: readonly string[] },
  ): Promise<DeletedResource[]>;
  compare(resources: readonly GivenResource[]): Promise<ComparedResource[]>;
  list(request: ListRequest): Promise<ListAnswer>;
};
