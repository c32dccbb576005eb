import { routedClaim } from '#control-plane/mesh/claim-path.ts';
import { checkRegex } from '#control-plane/mesh/request-routes/check-matches.ts';
import { errorAt, type FieldPath, type Problem, warningAt } from '#control-plane/resources/finding.ts';
import { mayHold } from './read.ts';
import type { RawStringMatch, RawVirtualMatch } from './schema.ts';

/** The rules of one entry of match. */
export function checkVirtualMatch(match: RawVirtualMatch, path: FieldPath): Problem[] {
  const { uri, scheme, method, authority, port = 0 } = match;
  const problems = [
    ...checkText(uri, [...path, 'uri']),
    ...checkText(scheme, [...path, 'scheme']),
    ...checkText(method, [...path, 'method']),
    ...checkText(authority, [...path, 'authority']),
    ...(['headers', 'withoutHeaders', 'queryParams'] as const).flatMap((field) =>
      Object.entries(match[field] ?? {}).flatMap(([name, text]) => [
        ...checkText(text, [...path, field, name]),
        ...(field === 'queryParams' ? [] : checkName(name, [...path, field, name])),
      ]),
    ),
    ...checkPath(uri, [...path, 'uri']),
    ...checkClients(match, path),
  ];
  if (port > 65_535) problems.push(errorAt('WEFT_FIELD_INVALID', [...path, 'port'], `${port} is not a port`, 'write 1 to 65535'));
  return problems;
}

/** A pattern must be one that a waypoint can run. */
function checkText(text: RawStringMatch | undefined, path: FieldPath): Problem[] {
  return text?.regex === undefined ? [] : checkRegex(text.regex, [...path, 'regex']);
}

/** What of a request is not a header has a field of its own. */
function checkName(name: string, path: FieldPath): Problem[] {
  const claim = routedClaim(name);
  if (claim === null) {
    const message = `"${name}" names no claim`;
    return [errorAt('WEFT_FIELD_INVALID', path, message, 'write "@request.auth.claims.a.b" or "@request.auth.claims[a][b]"')];
  }
  if (claim !== undefined || /^[A-Za-z0-9!#$%&'*+.^_`|~-]+$/.test(name)) return [];
  return [
    errorAt('WEFT_FIELD_INVALID', path, `"${name}" is no name of a header`, 'match uri, method, scheme or authority instead'),
  ];
}

/** A path begins with a slash, so nothing else ever fits; a star is no wildcard. */
function checkPath(uri: RawStringMatch | undefined, path: FieldPath): Problem[] {
  const [field, value] = uri?.exact === undefined ? (['prefix', uri?.prefix] as const) : (['exact', uri.exact] as const);
  if (value === undefined) return [];
  if (!value.startsWith('/')) {
    const message = `"${value}" fits no path: paths begin with /`;
    return [warningAt('WEFT_LIKELY_MISTAKE', [...path, field], message, `write /${value}`)];
  }
  if (!/[*?#]/.test(value)) return [];
  const message = `"${value}": * is a letter here, and what follows ? or # is not part of a path`;
  return [
    warningAt(
      'WEFT_LIKELY_MISTAKE',
      [...path, field],
      message,
      'write the beginning of the path as prefix, or match queryParams',
    ),
  ];
}

/** Legal, and of no use: without a word nobody would find out why the route is never taken. */
export function checkClients(match: Pick<RawVirtualMatch, 'gateways' | 'sourceLabels'>, path: FieldPath): Problem[] {
  if (mayHold(match)) return [];
  const byLabels = Object.keys(match.sourceLabels ?? {}).length > 0;
  const why = byLabels ? 'a waypoint does not know the labels of clients' : 'it is for other gateways than mesh';
  const field = byLabels ? 'sourceLabels' : 'gateways';
  const remedy = byLabels ? 'match by sourceNamespace, or by a header' : 'add mesh, or remove gateways';
  return [warningAt('WEFT_NOT_ENFORCED', [...path, field], `${why}, so this entry never matches`, remedy)];
}
