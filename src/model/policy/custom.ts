import type { ExternalAuthorizer } from '#model/waypoint/authorizer.ts';
import type { PolicyFacts } from './l7-fields.ts';
import { type Entry, firstHit, type PolicyHit } from './match.ts';

/** What of policies with action CUSTOM names one authorizer. */
export type CustomRules = {
  readonly authorizer: ExternalAuthorizer;
  readonly enforced: readonly Entry<PolicyFacts, PolicyHit>[];
  readonly dryRun: readonly Entry<PolicyFacts, PolicyHit>[];
  /** The enforced ones as connections without HTTP are read; nobody is asked about those in a dry run. */
  readonly connections: readonly Entry<PolicyFacts, PolicyHit>[];
};

/** Whom to ask about a request, and which rule says so. `waits`: the request waits for the answer; else it is only told. */
export type Question = { readonly authorizer: ExternalAuthorizer; readonly by: PolicyHit; readonly waits: boolean };

/** In the order of `rules`; each authorizer once. */
export function questionsAbout(rules: readonly CustomRules[], facts: PolicyFacts): Question[] {
  const questions: Question[] = [];
  for (const { authorizer, enforced, dryRun } of rules) {
    const hit = firstHit(enforced, facts);
    const tried = hit === null ? firstHit(dryRun, facts) : null;
    if (hit !== null) questions.push({ authorizer, by: hit.verdict, waits: true });
    else if (tried !== null) questions.push({ authorizer, by: tried.verdict, waits: false });
  }
  return questions;
}

/** The same about a connection without HTTP, where everybody who is asked is waited for. */
export function questionsAboutConnection(rules: readonly CustomRules[], facts: PolicyFacts): Question[] {
  return rules.flatMap(({ authorizer, connections }) => {
    const hit = firstHit(connections, facts);
    return hit === null ? [] : [{ authorizer, by: hit.verdict, waits: true }];
  });
}
