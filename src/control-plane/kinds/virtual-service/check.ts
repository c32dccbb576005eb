import { errorAt, type FieldPath, type Problem, warningAt } from '#control-plane/resources/finding.ts';
import { isDnsName } from '#model/dns/alias.ts';
import { RESOURCE } from '#model/settings/control-planes.ts';
import { checkActions } from './check-actions.ts';
import { checkConnections } from './check-connections.ts';
import { checkHeaders } from './check-headers.ts';
import { checkVirtualMatch } from './check-match.ts';
import { checkDestination, checkShares } from './check-shares.ts';
import type { RawVirtualRule, RawVirtualService } from './schema.ts';

type Spec = NonNullable<RawVirtualService['spec']>;

/** What the schema states in CEL about a VirtualService, or cannot state. */
export function checkVirtualService({ spec = {} }: RawVirtualService): Problem[] {
  const { hosts = [], http = [], tcp = [], tls = [] } = spec;
  const problems = hosts.flatMap((host, at) => checkHost(host, ['spec', 'hosts', at]));
  if (hosts.length === 0) problems.push(...checkDelegate(spec));
  if (http.length + tcp.length + tls.length === 0)
    problems.push(errorAt('WEFT_FIELD_INVALID', ['spec'], 'it has no routes', 'write http, tcp or tls'));
  problems.push(...http.flatMap((rule, at) => checkRule(rule, ['spec', 'http', at])));
  for (const [field, rules] of [
    ['tls', tls],
    ['tcp', tcp],
  ] as const)
    problems.push(...rules.flatMap((rule, at) => checkConnections(rule, field, hosts, ['spec', field, at])));
  // Each costs every request, or connection, that reaches it.
  const matches = [...http, ...tls, ...tcp].reduce((sum, { match = [] }) => sum + Math.max(1, match.length), 0);
  if (matches > RESOURCE.routeMatchesMax) {
    const message = `${matches} matches in one VirtualService, at most ${RESOURCE.routeMatchesMax} are allowed`;
    problems.push(errorAt('WEFT_FIELD_INVALID', ['spec', 'http'], message, 'write fewer, or match by patterns'));
  }
  return [...problems, ...checkUnreachable(http)];
}

/** Without hosts it stands in for a rule of another one: it has nothing but rules of requests, and leads no further. */
function checkDelegate({ gateways = [], http = [], tcp = [], tls = [] }: Spec): Problem[] {
  const beside = [
    ...(gateways.length > 0 ? ['gateways'] : []),
    ...(tcp.length > 0 ? ['tcp'] : []),
    ...(tls.length > 0 ? ['tls'] : []),
  ];
  const ofRoot = beside.map((field) => {
    const message = `without hosts it is a delegate, which has no ${field}`;
    return errorAt('WEFT_FIELD_CONFLICT', ['spec', field], message, 'write hosts, or leave it to the one that delegates');
  });
  const further = http.flatMap(({ delegate }, at) => (delegate === undefined ? [] : [at]));
  const deeper = further.map((at) => {
    const message = 'a delegate cannot delegate: there is one level only';
    return errorAt('WEFT_FIELD_INVALID', ['spec', 'http', at, 'delegate'], message, 'write its routes here');
  });
  return [...ofRoot, ...deeper];
}

/** A star alone is for gateways: in a mesh it would take the traffic of everybody. */
function checkHost(host: string, path: FieldPath): Problem[] {
  const name = host.toLowerCase().replace(/^\*\./, '');
  if (host === '*' || !isDnsName(name)) {
    const message = host === '*' ? '"*" cannot stand alone for services of a mesh' : `"${host}" is no host`;
    return [errorAt('WEFT_FIELD_INVALID', path, message, 'write the name of a service, such as reviews.shop.svc.cluster.local')];
  }
  return [];
}

/** What comes after a rule that takes every request is never asked. */
function checkUnreachable(http: readonly RawVirtualRule[]): Problem[] {
  const takesAll = http.findIndex(({ match = [] }) => match.length === 0);
  if (takesAll < 0 || takesAll === http.length - 1) return [];
  const message = `http[${takesAll}] has no match and takes every request: the first route that matches wins`;
  return [warningAt('WEFT_LIKELY_MISTAKE', ['spec', 'http', takesAll + 1], message, 'put the route without match last')];
}

/** All of one entry of http. */
function checkRule(rule: RawVirtualRule, path: FieldPath): Problem[] {
  const { match = [], route = [], mirror, mirrors = [] } = rule;
  return [
    ...match.flatMap((one, at) => checkVirtualMatch(one, [...path, 'match', at])),
    ...checkWhatItDoes(rule, path),
    ...checkShares(route, [...path, 'route']),
    ...route.flatMap(({ headers }, at) => checkHeaders(headers, [...path, 'route', at, 'headers'])),
    ...(mirror === undefined ? [] : checkDestination(mirror, [...path, 'mirror'])),
    ...mirrors.flatMap(({ destination }, at) => checkDestination(destination, [...path, 'mirrors', at, 'destination'])),
    ...checkHeaders(rule.headers, [...path, 'headers']),
    ...checkActions(rule, path),
  ];
}

/** A rule sends requests on, or answers them, in one way. */
function checkWhatItDoes(rule: RawVirtualRule, path: FieldPath): Problem[] {
  const { route = [], redirect, directResponse, delegate, fault, mirror, mirrors = [] } = rule;
  const ways = [
    ...(route.length > 0 ? ['route'] : []),
    ...(redirect === undefined ? [] : ['redirect']),
    ...(directResponse === undefined ? [] : ['directResponse']),
    ...(delegate === undefined ? [] : ['delegate']),
  ];
  const problems: Problem[] = [];
  if (delegate !== undefined && (delegate.name ?? '') === '')
    problems.push(errorAt('WEFT_FIELD_INVALID', [...path, 'delegate'], 'it does not name the delegate', 'write delegate.name'));
  if (ways.length === 0)
    problems.push(errorAt('WEFT_FIELD_INVALID', path, 'it says not what to do with its requests', 'write route'));
  if (ways.length > 1)
    problems.push(errorAt('WEFT_FIELD_CONFLICT', path, `${ways.join(' and ')} exclude one another`, 'keep one of them'));
  const beside = [
    ...(fault === undefined ? [] : ['fault']),
    ...(mirror === undefined ? [] : ['mirror']),
    ...(mirrors.length === 0 ? [] : ['mirrors']),
  ];
  if (redirect !== undefined && beside.length > 0)
    problems.push(
      errorAt('WEFT_FIELD_CONFLICT', path, `redirect and ${beside.join(', ')} exclude one another`, 'keep one of them'),
    );
  if (mirror !== undefined && mirrors.length > 0)
    problems.push(errorAt('WEFT_FIELD_CONFLICT', [...path, 'mirrors'], 'mirror and mirrors exclude one another', 'keep mirrors'));
  return problems;
}
