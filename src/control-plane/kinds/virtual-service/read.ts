import { routedClaim } from '#control-plane/mesh/claim-path.ts';
import type { StringMatch, VirtualMatch } from '#model/waypoint/virtual.ts';
import { readSettledParts } from './read-parts.ts';
import { readChanges, readStringMatch } from './read-values.ts';
import type { VirtualDestination, VirtualRule } from './resource.ts';
import type { RawDestination, RawRouteDestination, RawStringMatch, RawVirtualMatch, RawVirtualRule } from './schema.ts';

/** The gateway that stands for the mesh itself, which is all that waypoints serve. */
export const MESH_GATEWAY = 'mesh';

/** The check has made sure of all values; `title`: of whose fault is spoken. */
export function readRule(rule: RawVirtualRule, title: string, namespace: string): VirtualRule {
  const { name, match = [], route = [], rewrite, delegate } = rule;
  const rewritten = rewrite?.uri !== undefined || rewrite?.authority !== undefined;
  return {
    name: name ?? '',
    matches: match.length === 0 ? [{ name: '', match: null }] : match.filter(mayHold).map(readMatch),
    destinations: route.map((one) => readShare(one, route.length === 1)),
    mirrors: readMirrors(rule),
    rewrite: rewritten ? { uri: rewrite.uri ?? null, authority: rewrite.authority ?? null } : null,
    parts: readSettledParts(rule, title),
    unsupported: rewrite?.uriRegexRewrite === undefined ? [] : ['rewrite.uriRegexRewrite'],
    ...(delegate && { delegate: { key: `${delegate.namespace || namespace}/${delegate.name ?? ''}`, written: rule } }),
  };
}

/** An entry for other gateways, or for clients by their labels, which a waypoint does not know, never holds here (config-api 4.4). */
export function mayHold({ gateways = [], sourceLabels = {} }: Pick<RawVirtualMatch, 'gateways' | 'sourceLabels'>): boolean {
  return (gateways.length === 0 || gateways.includes(MESH_GATEWAY)) && Object.keys(sourceLabels).length === 0;
}

/** Envoy compares a port of 0 with nothing: it counts as not written. */
function readMatch(raw: RawVirtualMatch): { name: string; match: VirtualMatch } {
  const match: VirtualMatch = {
    uri: readText(raw.uri),
    ignoreUriCase: raw.ignoreUriCase ?? false,
    scheme: readText(raw.scheme),
    method: readText(raw.method),
    authority: readText(raw.authority),
    headers: named(raw.headers, headerName),
    withoutHeaders: named(raw.withoutHeaders, headerName),
    queryParams: named(raw.queryParams, (name) => ({ name })),
    port: raw.port || null,
    sourceNamespace: raw.sourceNamespace || null,
  };
  return { name: raw.name ?? '', match };
}

/** Of the request itself something is always there: an empty match restricts nothing. */
function readText(raw: RawStringMatch | undefined): StringMatch | null {
  const match = raw === undefined ? null : readStringMatch(raw);
  return match === null || match.type === 'present' ? null : match;
}

/** What a match of a name is about. */
type MatchName = { name: string; claim?: readonly string[] };

/** Names of headers are compared in lower case, those of claims as they are. */
function headerName(name: string): MatchName {
  const claim = routedClaim(name) ?? null;
  return claim === null ? { name: name.toLowerCase() } : { name, claim };
}

function named(raw: Record<string, RawStringMatch> = {}, nameOf: (name: string) => MatchName): VirtualMatch['headers'] {
  return Object.entries(raw).map(([name, match]) => ({ ...nameOf(name), ...readStringMatch(match) }));
}

/** The only destination of a rule gets everything, whatever weight it has. */
function readShare(
  { destination, weight = 0, headers }: RawRouteDestination,
  isOnly: boolean,
): VirtualRule['destinations'][number] {
  return {
    ...readDestination(destination),
    weight: isOnly ? 1 : weight,
    requestHeaders: readChanges(headers?.request),
    responseHeaders: readChanges(headers?.response),
  };
}

/** Names of hosts have no case. */
export function readDestination({ host, subset, port }: RawDestination): VirtualDestination {
  return { host: host.toLowerCase(), subset: subset || null, port: port?.number || null };
}

/** As Envoy counts shares. */
const PER_MILLION = 1_000_000;

/** The old fields for the share of a single mirror count where the new one is not written. */
function readMirrors({ mirror, mirrors = [], ...rest }: RawVirtualRule): VirtualRule['mirrors'] {
  const percent = rest.mirrorPercentage?.value ?? rest.mirrorPercent ?? rest.mirror_percent ?? 100;
  const all = [
    ...(mirror === undefined ? [] : [{ destination: mirror, percent }]),
    ...mirrors.map(({ destination, percentage }) => ({
      destination,
      percent: percentage === undefined ? 100 : (percentage.value ?? 0),
    })),
  ];
  return all.map(({ destination, percent: share }) => ({
    ...readDestination(destination),
    numerator: Math.round((share * PER_MILLION) / 100),
    denominator: PER_MILLION,
  }));
}
