import type { HeaderEdit } from '#model/authorizer/verdict.ts';
import { WAYPOINT } from '#model/settings/waypoints.ts';
import type { CountingRule, RateLimitKey } from '#model/waypoint/traffic.ts';
import { type Counted, type KeyedRequest, type LimitRule, shortened, tighterOf, valueOfKey } from './rate-limit.ts';

/** Where a server's own configuration has what waypoints ask about (config-api 6.3): it need not say more than the name. */
export const RATE_LIMIT_DOMAIN = 'weft';

/** By what a server counts a request, and how many there may be: the limit goes with the question. */
export type Descriptor = {
  readonly entries: readonly (readonly [key: string, value: string])[];
  readonly requests: number;
  readonly windowMs: number;
};

/** What a server says of one descriptor; `limited`: it has told the limit that it counted by. */
export type DescriptorStatus = {
  readonly over: boolean;
  readonly limited: boolean;
  readonly remaining: number;
  /** Milliseconds until its window ends. */
  readonly resetMs: number;
};

/** What a server says of a request. */
export type LimitAnswer =
  | {
      readonly kind: 'answered';
      readonly over: boolean;
      /** In the order of what was asked; servers need not tell them. */
      readonly statuses: readonly DescriptorStatus[];
      readonly toClient: readonly HeaderEdit[];
      readonly toUpstream: readonly HeaderEdit[];
      /** In place of the body of a refusal; empty: none. */
      readonly body: Uint8Array;
    }
  /** It has not decided. */
  | { readonly kind: 'error'; readonly why: string };

/** What an answer means for a request. */
export type GlobalVerdict = {
  readonly refused: boolean;
  /** The rules of which there were too many, those included that are not enforced. */
  readonly exceeded: readonly LimitRule[];
  /** Null: the server has not told. */
  readonly tightest: Counted | null;
};

/** Windows that a server can count in, with their names in policies (config-api 6.3). */
export const GLOBAL_WINDOWS_MS = [1_000, 60_000, 3_600_000, 86_400_000] as const;

/** What of a rule a server is asked. An entry for each key, also one that is missing: nobody comes into the count of another by saying less. */
export function descriptorOf(policy: string, rule: CountingRule | LimitRule, request: KeyedRequest): Descriptor {
  const values = rule.key.map((key) => {
    const value = shortened(valueOfKey(key, request), WAYPOINT.bucketKeyCharactersMax);
    return [entryName(key), value.toWellFormed()] as const;
  });
  const { requests, windowMs } = rule;
  return { entries: [['policy', policy], ['rule', rule.name], ...values], requests, windowMs };
}

function entryName(key: RateLimitKey): string {
  switch (key.type) {
    case 'service-account':
      return 'source_service_account';
    case 'namespace':
      return 'source_namespace';
    case 'address':
      return 'source_ip';
    case 'header':
      return `header:${key.name.toLowerCase()}`;
    case 'query':
      return `query:${key.name}`;
    case 'claim':
      return `claim:${key.path.join('.')}`;
    default:
      return key.type;
  }
}

/**
 * A question whose answer a server gives away itself by: it counts for two where one is allowed, so whoever lets it pass limits nothing.
 * That is what Envoy's reference server does while its configuration lacks the domain.
 */
export const PROBE: { readonly descriptor: Descriptor; readonly hits: number } = {
  descriptor: { entries: [['check', 'domain']], requests: 1, windowMs: 1_000 },
  hits: 2,
};

/** Whether an answer lets a request pass and does not show that anything was counted. */
export function isUncounted(answer: Extract<LimitAnswer, { kind: 'answered' }>, asked: number): boolean {
  const { over, statuses } = answer;
  return !over && (statuses.length !== asked || statuses.some(({ limited }) => !limited));
}

/**
 * What a server's answer comes to, by the rules that it was asked about, in that order. Its word for the whole decides, as in Envoy; its words
 * for each tell which rules are exceeded, for some may not be enforced.
 */
export function judgeAnswer(
  rules: readonly LimitRule[],
  { over, statuses }: Pick<Extract<LimitAnswer, { kind: 'answered' }>, 'over' | 'statuses'>,
): GlobalVerdict {
  const each = statuses.length === rules.length ? statuses : [];
  const told = rules.filter((_, at) => each[at]?.over === true);
  // Who says that there are too many and not of what means all that it was asked about.
  const exceeded = !over ? [] : told.length > 0 ? told : rules;
  const tightest = rules.reduce<Counted | null>((found, rule, at) => {
    const status = each[at];
    if (rule.shadow || status === undefined) return found;
    const { remaining, resetMs: waitMs } = status;
    return tighterOf(found, { rule, verdict: { admitted: !exceeded.includes(rule), remaining, waitMs } });
  }, null);
  return { refused: exceeded.some(({ shadow }) => !shadow), exceeded, tightest };
}
