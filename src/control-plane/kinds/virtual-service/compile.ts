import { isExportedTo } from '#control-plane/mesh/named-hosts.ts';
import type { SubsetPick } from '#control-plane/mesh/subsets.ts';
import { type FieldPath, type Problem, warningAt } from '#control-plane/resources/finding.ts';
import { RESOURCE } from '#model/settings/control-planes.ts';
import type { HttpBackend, HttpRouteRule } from '#model/waypoint/config.ts';
import type { HttpMirror, HttpRewrite } from '#model/waypoint/filters.ts';
import type { VirtualMatch } from '#model/waypoint/virtual.ts';
import { delegatedRules } from './delegate.ts';
import { type CompileMesh, type Context, resolve, VIRTUAL_SERVICES } from './destinations.ts';
import { readRule } from './read.ts';
import type { VirtualRule, VirtualServiceResource, WeightedDestination } from './resource.ts';
import type { RawVirtualRule } from './schema.ts';

/** What the rules come to at a waypoint of one namespace. */
export type CompiledVirtualService = { rules: HttpRouteRule[]; subsets: SubsetPick[]; problems: Problem[] };

/** Every entry of a match becomes a rule: what a rewrite replaces depends on which of them held. */
export function compileVirtualService(
  { http, metadata }: VirtualServiceResource,
  waypointNamespace: string,
  mesh: CompileMesh,
): CompiledVirtualService {
  const context: Context = { own: metadata.namespace, waypointNamespace, mesh, picks: new Map(), problems: [] };
  const rules = http.flatMap((rule, at) => {
    const path = ['spec', 'http', at];
    const name = rule.name === '' ? String(at) : rule.name;
    return rule.delegate === undefined
      ? compileRule(rule, name, path, context)
      : compileDelegate({ ...rule, delegate: rule.delegate }, name, path, context);
  });
  return { rules, subsets: [...context.picks.values()], problems: context.problems };
}

/** The rules of a delegate in the place of the one that leads there. Where they are not to be had, its requests are answered 500. */
function compileDelegate(
  rule: VirtualRule & { delegate: { key: string; written: RawVirtualRule } },
  name: string,
  path: FieldPath,
  context: Context,
): HttpRouteRule[] {
  const { key, written } = rule.delegate;
  const at = [...path, 'delegate'];
  const unusable = (message: string, remedy: string): HttpRouteRule[] => {
    context.problems.push(warningAt('WEFT_REFERENCE_UNRESOLVED', at, `${message}; requests that match are answered 500`, remedy));
    return compileRule(rule, name, path, context);
  };
  const found = context.mesh.get(VIRTUAL_SERVICES, key);
  if (found === null || found.hosts.length > 0) {
    const why = found === null ? `VirtualService ${key} is not there` : `VirtualService ${key} has hosts, so it is no delegate`;
    return unusable(why, 'name a VirtualService without hosts');
  }
  const { namespace } = found.metadata;
  if (!isExportedTo(found.exportTo, namespace, context.own))
    return unusable(`VirtualService ${key} is not exported to namespace ${context.own}`, `add ${context.own} to its exportTo`);
  const { rules, apart } = delegatedRules(written, found.delegated);
  if (rules.reduce((sum, { match = [] }) => sum + Math.max(1, match.length), 0) > RESOURCE.routeMatchesMax) {
    const why = `with those of VirtualService ${key} there are more than ${RESOURCE.routeMatchesMax} matches`;
    return unusable(why, 'write fewer, or match by patterns');
  }
  for (const place of apart) {
    const message = `http[${place}] of VirtualService ${key} is left out: no request fits both its match and this one`;
    context.problems.push(warningAt('WEFT_NOT_ENFORCED', at, message, 'let each of its matches narrow one of these'));
  }
  // Its destinations are looked up from where it is written, and its problems are told here, where they have an effect.
  const inner: Context = { ...context, own: namespace, problems: [] };
  const compiled = rules.flatMap((one, place) => {
    const read = readRule(one, `VirtualService ${key}`, namespace);
    return compileRule(read, read.name === '' ? `${name}-${place}` : read.name, at, inner);
  });
  context.problems.push(
    ...inner.problems.map(({ message, remedy, ...problem }) => ({
      ...problem,
      path: at,
      message: `in VirtualService ${key}: ${message}`,
      remedy,
    })),
  );
  return compiled;
}

/** One entry of http. */
function compileRule(rule: VirtualRule, name: string, path: FieldPath, context: Context): HttpRouteRule[] {
  for (const field of rule.unsupported) {
    const message = `${field} is not supported: every request that matches is answered 500`;
    context.problems.push(warningAt('WEFT_NOT_ENFORCED', [...path, ...field.split('.')], message, 'remove it'));
  }
  // Half of a rule is not what its author wrote: without backends it answers 500.
  const usable = rule.unsupported.length === 0;
  const backends = usable ? compileBackends(rule, path, context) : [];
  const mirrors = usable ? compileMirrors(rule, path, context) : [];
  const { requestHeaders, responseHeaders, requestTimeoutMs } = rule.parts;
  return rule.matches.map(({ name: matchName, match }) => {
    const rewrite = rewriteOf(rule.rewrite, match);
    return {
      name: matchName === '' ? name : `${name}.${matchName}`,
      matches: [],
      ...(match && { virtual: match }),
      backends,
      ...(usable ? rule.parts : { requestHeaders, responseHeaders, requestTimeoutMs }),
      ...(usable && rewrite && { rewrite }),
      ...(mirrors.length > 0 && { mirrors }),
    };
  });
}

/** In place of what the match compared; of an exact path or a pattern that is the whole path, and of none of them its slash. */
function rewriteOf(rewrite: VirtualRule['rewrite'], match: VirtualMatch | null): HttpRewrite | null {
  if (rewrite === null) return null;
  const { uri: value, authority } = rewrite;
  const uri = match?.uri ?? { type: 'prefix', value: '/' };
  if (value === null) return { hostname: authority, path: null };
  const path = uri.type === 'prefix' ? ({ kind: 'text', from: uri.value, value } as const) : ({ kind: 'full', value } as const);
  return { hostname: authority, path };
}

/** One that resolves to nothing keeps its share: the others must not get more than was meant for them. */
function compileBackends({ destinations }: VirtualRule, path: FieldPath, context: Context): HttpBackend[] {
  const total = destinations.reduce((sum, { weight }) => sum + weight, 0);
  return destinations.map((destination, at): HttpBackend => {
    const { weight, port } = destination;
    const found = resolve(destination, context);
    if ('why' in found) {
      const share = total === 0 ? 0 : Math.round((100 * weight) / total);
      const message = `${found.why}; ${share} % of the requests that match are answered 503`;
      context.problems.push(warningAt('WEFT_REFERENCE_UNRESOLVED', [...path, 'route', at, 'destination'], message, found.remedy));
      return { service: null, port: port ?? 0, weight };
    }
    return { ...found, weight, ...filtersOf(destination) };
  });
}

/** Of one destination alone: changes of the rule are made besides. */
function filtersOf({ requestHeaders, responseHeaders }: WeightedDestination): Pick<HttpBackend, 'filters'> {
  if (requestHeaders === null && responseHeaders === null) return {};
  return { filters: { requestHeaders, responseHeaders, rewrite: null } };
}

/** One whose destination is not there is left out, for its copies would change nothing. */
function compileMirrors({ mirrors }: VirtualRule, path: FieldPath, context: Context): HttpMirror[] {
  return mirrors.flatMap(({ numerator, denominator, ...destination }) => {
    const found = resolve(destination, context);
    if (!('why' in found)) return [{ ...found, numerator, denominator }];
    const message = `${found.why}; no copies are sent`;
    context.problems.push(warningAt('WEFT_REFERENCE_UNRESOLVED', path, message, found.remedy));
    return [];
  });
}
