import { isDeepStrictEqual } from 'node:util';
import { type Problem, warningAt } from '#control-plane/resources/finding.ts';
import { nameOf, type ResourceName } from '#control-plane/resources/resource.ts';
import { type Authorization, convertedFrom, type PolicyKey, type StringMatch } from '#model/mesh/authorization.ts';
import type { MeshDelta } from '#model/mesh/mesh-state.ts';
import type { Workload } from '#model/mesh/workload.ts';

/** What this is told of each change of the mesh. */
export type MeshChange = Pick<MeshDelta, 'workloads' | 'policies'>;

/** What of a workload a policy can name. */
type Seen = { namespace: string; account: string; policies: readonly PolicyKey[] };

/**
 * Policies that are in force and match nothing now: whose selector or namespace has no workload, or whose rules name a namespace
 * or an account that nobody runs as. Each is valid, and most likely not what was meant.
 */
export class IdlePolicies {
  readonly #policies = new Map<PolicyKey, Authorization>();
  readonly #seen = new Map<string, Seen>();
  /** By account; those of accounts that are gone are forgotten with the account. */
  readonly #unselected = new Map<string, Seen>();
  readonly #namespaces = new Counted();
  readonly #accounts = new Counted();
  readonly #selected = new Counted();
  readonly #trustDomain: string;
  #told: ReadonlyMap<ResourceName, readonly Problem[]> = new Map();

  constructor(trustDomain: string) {
    this.#trustDomain = trustDomain;
  }

  apply({ workloads, policies }: MeshChange): void {
    for (const [key, policy] of policies) {
      if (policy === null) this.#policies.delete(key);
      // What a PeerAuthentication says is not about callers.
      else if (convertedFrom(policy.name) === null) this.#policies.set(key, policy);
    }
    for (const [uid, workload] of workloads) this.#take(uid, workload);
  }

  #take(uid: string, workload: Workload | null): void {
    const before = this.#seen.get(uid);
    if (before !== undefined) this.#count(before, -1);
    this.#seen.delete(uid);
    if (workload === null) return;
    const { namespace, serviceAccount, authorizationPolicies: policies } = workload;
    const now = this.#shared(namespace, `${namespace}/${serviceAccount}`, policies);
    this.#seen.set(uid, now);
    this.#count(now, 1);
  }

  /** One for all workloads of an account that no policy selects, which most are. */
  #shared(namespace: string, account: string, policies: readonly PolicyKey[]): Seen {
    if (policies.length > 0) return { namespace, account, policies };
    const known = this.#unselected.get(account);
    if (known !== undefined && this.#accounts.has(account)) return known;
    const seen = { namespace, account, policies: [] };
    this.#unselected.set(account, seen);
    return seen;
  }

  #count({ namespace, account, policies }: Seen, by: 1 | -1): void {
    this.#namespaces.add(namespace, by);
    this.#accounts.add(account, by);
    if (!this.#accounts.has(account)) this.#unselected.delete(account);
    for (const policy of policies) this.#selected.add(policy, by);
  }

  /** What is to be told of each policy that matches nothing somewhere, of `max` at most. */
  problems(max: number): Map<ResourceName, readonly Problem[]> {
    const found = new Map<ResourceName, readonly Problem[]>();
    for (const [key, policy] of this.#policies) {
      if (found.size >= max) break;
      const problems = [...this.#targetProblems(key, policy), ...this.#sourceProblems(policy)];
      const { namespace, name } = policy;
      if (problems.length === 0) continue;
      const resource = nameOf({ kind: 'AuthorizationPolicy', namespace, name });
      const before = this.#told.get(resource);
      // The same list as long as it says the same: then its lines are not looked for again.
      found.set(resource, isDeepStrictEqual(before, problems) && before !== undefined ? before : problems);
    }
    this.#told = found;
    return found;
  }

  #targetProblems(key: PolicyKey, { scope, namespace }: Authorization): Problem[] {
    const remedy = 'correct it, or start what it is for: weft status shows the workloads that there are';
    if (scope === 'workload-selector' && !this.#selected.has(key)) {
      const message = `it selects no workload now: none of namespace ${namespace} has these labels`;
      return [warningAt('WEFT_MATCHES_NOTHING', ['spec', 'selector'], message, remedy)];
    }
    if (scope !== 'namespace' || this.#namespaces.has(namespace)) return [];
    const message = `it applies to no workload now: namespace ${namespace} has none`;
    return [warningAt('WEFT_MATCHES_NOTHING', ['metadata', 'namespace'], message, remedy)];
  }

  #sourceProblems({ rules }: Authorization): Problem[] {
    const matches = rules.flatMap(({ clauses }) => clauses.flatMap((clause) => clause.matches));
    const namespaces = matches.flatMap((match) => exactly(match.namespaces)).filter((name) => !this.#namespaces.has(name));
    const named = matches.flatMap((match) => match.serviceAccounts.map((one) => `${one.namespace}/${one.serviceAccount}`));
    const principals = matches.flatMap((match) => exactly(match.principals)).flatMap((text) => this.#accountOf(text) ?? []);
    const accounts = [...named, ...principals].filter((account) => !this.#accounts.has(account));
    return [
      ...[...new Set(namespaces)].map((name) => idleSource(`no workload of namespace ${name} is in the mesh now`)),
      ...[...new Set(accounts)].map((account) => idleSource(`no workload runs as service account ${account} now`)),
    ];
  }

  /** Of a principal of this mesh; what others are called is for others to know. */
  #accountOf(principal: string): string | null {
    const [, trustDomain, namespace, account] = /^([^/]+)\/ns\/([^/]+)\/sa\/([^/]+)$/.exec(principal) ?? [];
    return trustDomain === this.#trustDomain ? `${namespace}/${account}` : null;
  }
}

function exactly(matches: readonly StringMatch[]): string[] {
  return matches.flatMap((match) => (match.kind === 'exact' ? [match.value] : []));
}

function idleSource(what: string): Problem {
  return warningAt(
    'WEFT_MATCHES_NOTHING',
    ['spec', 'rules'],
    `${what}, so a rule that names it matches nobody`,
    'correct the name, or start what is meant',
  );
}

/** How often each word is there. */
class Counted {
  readonly #counts = new Map<string, number>();

  add(word: string, by: 1 | -1): void {
    const count = (this.#counts.get(word) ?? 0) + by;
    if (count <= 0) this.#counts.delete(word);
    else this.#counts.set(word, count);
  }

  has(word: string): boolean {
    return this.#counts.has(word);
  }
}
