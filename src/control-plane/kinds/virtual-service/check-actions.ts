import { checkRegex } from '#control-plane/mesh/request-routes/check-matches.ts';
import { errorAt, type FieldPath, type Problem, warningAt } from '#control-plane/resources/finding.ts';
import { goDurationMs } from '#control-plane/resources/go-duration.ts';
import { readRetryOn } from '#model/resilience/retry-on.ts';
import { WAYPOINT } from '#model/settings/waypoints.ts';
import { REDIRECT_STATUSES } from '#model/waypoint/filters.ts';
import { checkFault, checkPercent } from './check-fault.ts';
import type { RawCorsPolicy, RawDirectResponse, RawRetries, RawVirtualRedirect, RawVirtualRule } from './schema.ts';

/** What a rule does beside choosing a destination. */
export function checkActions(rule: RawVirtualRule, path: FieldPath): Problem[] {
  const { redirect, directResponse, corsPolicy, retries, fault, timeout } = rule;
  return [
    ...(redirect === undefined ? [] : checkRedirect(redirect, [...path, 'redirect'])),
    ...(directResponse === undefined ? [] : checkDirectResponse(directResponse, [...path, 'directResponse'])),
    ...(corsPolicy === undefined ? [] : checkCors(corsPolicy, [...path, 'corsPolicy'])),
    ...(retries === undefined ? [] : checkRetries(retries, [...path, 'retries'])),
    ...(fault === undefined ? [] : checkFault(fault, [...path, 'fault'])),
    ...checkDuration(timeout, [...path, 'timeout']),
    ...checkPercent(rule.mirrorPercentage?.value, [...path, 'mirrorPercentage', 'value']),
    ...checkPercent(rule.mirrorPercent, [...path, 'mirrorPercent']),
    ...checkPercent(rule.mirror_percent, [...path, 'mirror_percent']),
    ...(rule.mirrors ?? []).flatMap(({ percentage }, at) =>
      checkPercent(percentage?.value, [...path, 'mirrors', at, 'percentage', 'value']),
    ),
  ];
}

/** Go's form, and not less than a millisecond, as the API has it. */
export function checkDuration(text: string | undefined, path: FieldPath): Problem[] {
  const milliseconds = text === undefined ? 1 : goDurationMs(text);
  if (milliseconds !== null && milliseconds >= 1) return [];
  return [
    errorAt('WEFT_FIELD_INVALID', path, `"${text}" is no duration of at least 1ms`, 'write a duration such as 1.5s or 250ms'),
  ];
}

/** What goes into the header `location` must be what its author sees. */
function checkRedirect(
  { uri = '', authority = '', scheme, port = 0, redirectCode = 301 }: RawVirtualRedirect,
  path: FieldPath,
): Problem[] {
  const problems: Problem[] = [];
  const invalid = (field: string, message: string, remedy: string): void => {
    problems.push(errorAt('WEFT_FIELD_INVALID', [...path, field], message, remedy));
  };
  if (!REDIRECT_STATUSES.some((status) => status === redirectCode))
    invalid('redirectCode', `${redirectCode} is no status of a redirect`, `write one of ${REDIRECT_STATUSES.join(', ')}`);
  if (scheme !== undefined && scheme !== '' && scheme !== 'http' && scheme !== 'https')
    invalid('scheme', `"${scheme}" is no scheme of HTTP`, 'write http or https');
  if (port > 65_535) invalid('port', `${port} is not a port`, 'write 1 to 65535');
  if (/[?#]/.test(uri)) invalid('uri', `"${uri}" holds more than a path`, 'write the path alone: the query of the request stays');
  if (authority !== '' && !/^([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:\d{1,5})?$/.test(authority))
    invalid('authority', `"${authority}" is no authority`, 'write a host, or a host with a port');
  return problems;
}

/** The body is part of every configuration that is sent to the waypoint: it is bounded. */
function checkDirectResponse({ status, body = {} }: RawDirectResponse, path: FieldPath): Problem[] {
  const problems: Problem[] = [];
  if (status < 200 || status > 599)
    problems.push(errorAt('WEFT_FIELD_INVALID', [...path, 'status'], `${status} is no status of an answer`, 'write 200 to 599'));
  const bytes = body.bytes === undefined ? Buffer.from(body.string ?? '') : Buffer.from(body.bytes, 'base64');
  const at = [...path, 'body'];
  if (bytes.length > WAYPOINT.directResponseBytesMax) {
    const message = `${bytes.length} bytes are more than an answer may have: there are ${WAYPOINT.directResponseBytesMax}`;
    problems.push(errorAt('WEFT_FIELD_INVALID', at, message, 'let a service answer'));
  }
  if (!Buffer.from(bytes.toString('utf8')).equals(bytes))
    problems.push(errorAt('WEFT_FIELD_INVALID', at, 'the bytes are no text in UTF-8', 'write text, or let a service answer'));
  return problems;
}

/** Origins by pattern, and how long an answer may be remembered. */
function checkCors({ allowOrigins = [], maxAge }: RawCorsPolicy, path: FieldPath): Problem[] {
  return [
    ...allowOrigins.flatMap(({ regex }, at) =>
      regex === undefined ? [] : checkRegex(regex, [...path, 'allowOrigins', at, 'regex']),
    ),
    ...checkDuration(maxAge, [...path, 'maxAge']),
  ];
}

/** More than a waypoint makes is not refused, for the route does what it can. */
function checkRetries({ attempts, perTryTimeout, retryOn = '', backoff }: RawRetries, path: FieldPath): Problem[] {
  const problems = [...checkDuration(perTryTimeout, [...path, 'perTryTimeout']), ...checkDuration(backoff, [...path, 'backoff'])];
  const max = WAYPOINT.routeRetriesMax;
  if (attempts === undefined) {
    const message = 'without attempts nothing is tried again';
    problems.push(warningAt('WEFT_LIKELY_MISTAKE', [...path, 'attempts'], message, 'write how many further tries there may be'));
  } else if (attempts < 0) {
    problems.push(errorAt('WEFT_FIELD_INVALID', [...path, 'attempts'], `${attempts} is no number of tries`, 'write 0 or more'));
  } else if (attempts > max) {
    const message = `${attempts} retries are more than a waypoint makes: there are ${max}`;
    problems.push(warningAt('WEFT_LIKELY_MISTAKE', [...path, 'attempts'], message, `write ${max} or less`));
  }
  for (const word of readRetryOn(retryOn).unknown) {
    const message = `a waypoint retries on no "${word}"`;
    problems.push(
      warningAt('WEFT_NOT_ENFORCED', [...path, 'retryOn'], message, 'remove it, or name the statuses that are meant'),
    );
  }
  return problems;
}
