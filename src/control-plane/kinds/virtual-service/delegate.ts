import type { RawStringMatch, RawVirtualMatch, RawVirtualRule } from './schema.ts';

/** What a rule that delegates comes to. `apart`: the rules of the delegate of which no request fits both, by their places. */
export type Delegated = { rules: RawVirtualRule[]; apart: number[] };

/** Fields that a rule of a delegate takes from the rule that leads to it, where it does not write its own. */
const INHERITED = [
  ...['rewrite', 'timeout', 'retries', 'fault', 'mirror', 'mirrorPercent', 'mirror_percent', 'mirrorPercentage', 'mirrors'],
  ...['corsPolicy', 'headers'],
] as const;

/**
 * The rules of a delegate as they hold behind the rule that leads there (config-api 4.4, merged as Istio does): requests have to
 * fit both, and what both say of how they are treated the delegate decides.
 */
export function delegatedRules(root: RawVirtualRule, delegate: readonly RawVirtualRule[]): Delegated {
  const rules: RawVirtualRule[] = [];
  const apart: number[] = [];
  for (const [at, own] of delegate.entries()) {
    const match = bothMatches(root.match ?? [], own.match ?? []);
    if (match === null) apart.push(at);
    else rules.push({ ...inherited(root, own), ...own, ...(match.length > 0 && { match }), name: joined(root.name, own.name) });
  }
  return { rules, apart };
}

function inherited(root: RawVirtualRule, own: RawVirtualRule): Partial<RawVirtualRule> {
  // The two spellings of mirrors exclude one another.
  const mirrorsItself = own.mirror !== undefined || (own.mirrors ?? []).length > 0;
  const taken = INHERITED.filter((field) => root[field] !== undefined && !(mirrorsItself && field.startsWith('mirror')));
  return Object.fromEntries(taken.map((field) => [field, root[field]]));
}

function joined(root = '', own = ''): string {
  return [root, own].filter((name) => name !== '').join('-');
}

/** Null when some entry of the delegate fits none of the root's: half of a rule is not what was written. */
function bothMatches(root: readonly RawVirtualMatch[], own: readonly RawVirtualMatch[]): RawVirtualMatch[] | null {
  if (root.length === 0) return [...own];
  if (own.length === 0) return [...root];
  const both = own.map((leaf) => root.filter((one) => !excludes(one, leaf)).map((one) => bothOf(one, leaf)));
  return both.some((found) => found.length === 0) ? null : both.flat();
}

function bothOf(root: RawVirtualMatch, own: RawVirtualMatch): RawVirtualMatch {
  const name = joined(root.name, own.name);
  return {
    ...root,
    ...own,
    ...(name !== '' && { name }),
    // What is empty restricts nothing, and must not stand in the way of what the root says.
    port: own.port || root.port || 0,
    sourceNamespace: own.sourceNamespace || root.sourceNamespace || '',
    gateways: own.gateways?.length ? own.gateways : (root.gateways ?? []),
    headers: { ...root.headers, ...own.headers },
    withoutHeaders: { ...root.withoutHeaders, ...own.withoutHeaders },
    queryParams: { ...root.queryParams, ...own.queryParams },
    sourceLabels: { ...root.sourceLabels, ...own.sourceLabels },
  };
}

/** Whether the two can not be put together: the delegate's has to be narrower wherever both say something. */
function excludes(root: RawVirtualMatch, own: RawVirtualMatch): boolean {
  const named = (['headers', 'withoutHeaders', 'queryParams'] as const).some((field) =>
    Object.entries(own[field] ?? {}).some(([name, text]) => widens(root[field]?.[name], text)),
  );
  const labels = Object.entries(own.sourceLabels ?? {}).some(([name, value]) => (root.sourceLabels?.[name] ?? value) !== value);
  return (
    named ||
    labels ||
    (['uri', 'scheme', 'method', 'authority'] as const).some((field) => widens(root[field], own[field])) ||
    (own.uri !== undefined && root.uri !== undefined && (root.ignoreUriCase ?? false) !== (own.ignoreUriCase ?? false)) ||
    differs(root.port, own.port) ||
    differs(root.sourceNamespace, own.sourceNamespace) ||
    isOutside(root.gateways ?? [], own.gateways ?? [])
  );
}

function differs(root: string | number | undefined, own: string | number | undefined): boolean {
  return Boolean(root) && Boolean(own) && root !== own;
}

function isOutside(root: readonly string[], own: readonly string[]): boolean {
  return root.length > 0 && own.some((gateway) => !root.includes(gateway));
}

/** Whether `own` holds for what `root` does not; of patterns that cannot be told, so that beside one there is no other. */
function widens(root: RawStringMatch | undefined, own: RawStringMatch | undefined): boolean {
  if (root === undefined || own === undefined || isPresence(root)) return false;
  if (root.exact !== undefined) return own.exact !== root.exact;
  const begin = root.prefix;
  if (begin === undefined || isPresence(own)) return true;
  return !(own.prefix ?? own.exact ?? null)?.startsWith(begin);
}

/** It only has to be there. */
function isPresence({ exact, prefix, regex }: RawStringMatch): boolean {
  return exact === undefined && prefix === undefined && regex === undefined;
}
