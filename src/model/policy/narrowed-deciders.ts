import type { Rule, StringMatch } from '#model/mesh/authorization.ts';
import { AGENT } from '#model/settings/agents.ts';
import type { Decider, Entry, PeerFacts } from './match.ts';

/** `needs`: principals of which the caller has to be one, or it cannot hold; null: it may hold for anybody. */
export type NeedyEntry<Verdict> = Entry<PeerFacts, Verdict> & { readonly needs: ReadonlySet<string> | null };

/** A decider whose entries say whom they need. */
export type NeedyDecider<Verdict> = Decider<PeerFacts, Verdict> & {
  readonly deny: readonly NeedyEntry<Verdict>[];
  readonly allow: readonly NeedyEntry<Verdict>[];
};

/**
 * A decider for each principal, without the rules that name others: of a thousand policies most are about others. What it says is
 * what the whole one says.
 */
export class NarrowedDeciders<Verdict> {
  readonly #whole: NeedyDecider<Verdict>;
  /** Principal, '' for none. */
  readonly #known = new Map<string, NeedyDecider<Verdict>>();

  constructor(whole: NeedyDecider<Verdict>) {
    this.#whole = whole;
  }

  /** principal null: of a caller without identity. */
  for(principal: string | null): NeedyDecider<Verdict> {
    const { deny, allow } = this.#whole;
    if (deny.length + allow.length < AGENT.narrowedFrom) return this.#whole;
    const key = principal ?? '';
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    const mayHold = ({ needs }: NeedyEntry<Verdict>): boolean => needs === null || (principal !== null && needs.has(principal));
    const narrowed = { ...this.#whole, deny: deny.filter(mayHold), allow: allow.filter(mayHold) };
    if (this.#known.size >= AGENT.narrowedMax) this.#known.clear();
    this.#known.set(key, narrowed);
    return narrowed;
  }
}

/**
 * Of a rule with a clause each of whose matches names principals in full, all that it names; null of any other. Where that clause
 * does not hold the rule does not.
 */
export function principalsNeeded({ clauses }: Rule): ReadonlySet<string> | null {
  const named = clauses.find(({ matches }) => matches.length > 0 && matches.every(({ principals }) => areInFull(principals)));
  if (named === undefined) return null;
  return new Set(named.matches.flatMap(({ principals }) => principals.map((one) => (one.kind === 'exact' ? one.value : ''))));
}

function areInFull(principals: readonly StringMatch[]): boolean {
  return principals.length > 0 && principals.every(({ kind }) => kind === 'exact');
}
