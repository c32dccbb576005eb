import ipaddr from 'ipaddr.js';
import { errorAt, type FieldPath, type Problem, warningAt } from '#control-plane/resources/finding.ts';
import { familyOf, tryParseCidr } from '#model/address/ip.ts';

type ValueCheck = (value: string, path: FieldPath) => Problem[];

/** The syntax of each field's items, by the field's positive name. */
const CHECKS: Readonly<Record<string, ValueCheck>> = {
  principals: checkPrincipal,
  requestPrincipals: checkStars,
  namespaces: () => [],
  serviceAccounts: checkServiceAccount,
  trustDomains: checkTrustDomain,
  ipBlocks: checkCidr,
  remoteIpBlocks: checkCidr,
  hosts: checkStars,
  ports: checkPort,
  methods: checkMethod,
  paths: checkPathPattern,
};

/** Checks the items of `field` (`hosts`, `notHosts`…) of a source or operation. */
export function checkValues(field: string, values: readonly string[], path: FieldPath): Problem[] {
  if (values.length === 0) {
    const message = 'an empty list restricts nothing';
    return [errorAt('WEFT_FIELD_INVALID', path, message, 'remove the field, or list at least one value')];
  }
  // A field and its negation hold the same sort of values.
  const positive = field.startsWith('not') ? `${field.charAt(3).toLowerCase()}${field.slice(4)}` : field;
  const check = CHECKS[positive] ?? (() => []);
  return values.flatMap((value, at) => (value === '' ? [emptyValue([...path, at])] : check(value, [...path, at])));
}

/** The problem of an empty item. */
export function emptyValue(path: FieldPath): Problem {
  return errorAt('WEFT_FIELD_INVALID', path, 'an empty text matches nothing', 'remove it');
}

// What can never match is a warning and not an error, as in Istio: refused whole, a policy would leave open what its other
// parts close. An ALLOW that never matches lets nobody in, and its author sees why.

/** A principal is written without spiffe://. */
export function checkPrincipal(value: string, path: FieldPath): Problem[] {
  if (!value.startsWith('spiffe://')) return checkStars(value, path);
  const bare = value.slice('spiffe://'.length);
  const message = `"${value}" never matches: principals are compared without spiffe://`;
  return [warningAt('WEFT_LIKELY_MISTAKE', path, message, `write ${bare}, or use serviceAccounts: ["<namespace>/<name>"]`)];
}

/** `<namespace>/<name>` or `<name>`. */
export function checkServiceAccount(value: string, path: FieldPath): Problem[] {
  const segment = '[a-z0-9]([-a-z0-9.]*[a-z0-9])?';
  if (new RegExp(`^(${segment}/)?${segment}$`).test(value)) return [];
  const message = `"${value}" is not a service account`;
  return [
    errorAt('WEFT_FIELD_INVALID', path, message, 'write <namespace>/<name>, or <name> for the own namespace; no wildcards'),
  ];
}

/** A trust domain with at most one `*`, at an end. */
export function checkTrustDomain(value: string, path: FieldPath): Problem[] {
  // No slash: a trust domain is the first part of a principal only.
  const stars = value.split('*').length - 1;
  if (!value.includes('/') && (stars === 0 || (stars === 1 && (value.startsWith('*') || value.endsWith('*'))))) return [];
  const message = `"${value}" is not a trust domain`;
  return [errorAt('WEFT_FIELD_INVALID', path, message, 'write a name with at most one * at its beginning or end')];
}

/** A port number in decimal. */
export function checkPort(value: string, path: FieldPath): Problem[] {
  if (/^[1-9]\d{0,4}$/.test(value) && Number(value) <= 65_535) return [];
  return [errorAt('WEFT_FIELD_INVALID', path, `"${value}" is not a port`, 'write a number from 1 to 65535, one per item')];
}

/** Methods are compared with case, so one in lower case matches nothing. */
function checkMethod(value: string, path: FieldPath): Problem[] {
  if (value === value.toUpperCase()) return checkStars(value, path);
  const message = `"${value}" never matches: HTTP methods are upper case`;
  return [warningAt('WEFT_LIKELY_MISTAKE', path, message, `write ${value.toUpperCase()}`)];
}

/** A `*` is a wildcard only at one end of a value. */
export function checkStars(value: string, path: FieldPath): Problem[] {
  const literal = value.startsWith('*') ? value.slice(1) : value.endsWith('*') ? value.slice(0, -1) : value;
  if (!literal.includes('*')) return [];
  const message = `"${value}": a * is a wildcard only at the beginning or the end, and only once; the other one is compared literally`;
  return [warningAt('WEFT_LIKELY_MISTAKE', path, message, 'use one * at one end, or list the values')];
}

/** An address or range; bits behind the length are accepted, with a warning that shows the network. */
export function checkCidr(value: string, path: FieldPath): Problem[] {
  const cidr = tryParseCidr(value);
  if (cidr === null) {
    const message = `"${value}" is neither an IP address nor a range`;
    return [errorAt('WEFT_FIELD_INVALID', path, message, 'write 10.0.0.1, 10.0.0.0/8 or fd00::/8')];
  }
  const text = `${cidr.base}/${cidr.length}`;
  const family = familyOf(cidr.base) === 4 ? ipaddr.IPv4 : ipaddr.IPv6;
  // Whoever writes 10.1.2.3/8 may have meant the one address or the whole range.
  const network = family.networkAddressFromCIDR(text).toString();
  if (network === cidr.base) return [];
  const message = `"${value}" has bits set behind its length: it means the range ${network}/${cidr.length}`;
  return [warningAt('WEFT_LIKELY_MISTAKE', path, message, `write ${network}/${cidr.length}`)];
}

/** What a literal segment of a path template may hold. */
const LITERAL_SEGMENT = /^[a-zA-Z0-9\-._~%!$&'()+,;:@=]*$/;

/** A path of an AuthorizationPolicy: exact, with one `*` at an end, or a template with `{*}` and `{**}`. */
function checkPathPattern(value: string, path: FieldPath): Problem[] {
  const reason = value.includes('{') || value.includes('}') ? templateMistake(value) : null;
  if (reason !== null) {
    const remedy = 'write {*} for one whole segment and {**} once, as the last operator';
    return [errorAt('WEFT_FIELD_INVALID', path, `"${value}": ${reason}`, remedy)];
  }
  if (value.includes('{')) return [];
  const inner = value.startsWith('*') ? value.slice(1) : value.endsWith('*') ? value.slice(0, -1) : value;
  if (inner.includes('*')) {
    const message = `"${value}": a * in the middle is compared literally`;
    return [warningAt('WEFT_LIKELY_MISTAKE', path, message, `write ${value.replaceAll('*', '{*}')}`)];
  }
  if (!value.startsWith('/') && !value.startsWith('*')) {
    const message = `"${value}" never matches: a path begins with /`;
    return [warningAt('WEFT_LIKELY_MISTAKE', path, message, `write /${value}`)];
  }
  if (!UNREACHED.test(value)) return [];
  const message = `"${value}" never matches: a path is compared in its normal form, without dot segments, \\, # and ?`;
  return [warningAt('WEFT_LIKELY_MISTAKE', path, message, 'write the path as the application is to see it')];
}

/** What no path holds once it is in its normal form (docs/rules/waypoint.md W15, W18), nor any path at all. */
const UNREACHED = /[\\#?]|\/\.{1,2}(?:[/;]|$)|%2e|%00/i;

/** What keeps a path with operators from being a template; null when it is one. */
function templateMistake(value: string): string | null {
  if (!value.startsWith('/')) return 'a template begins with /';
  const segments = value.slice(1).split('/');
  // `{**}` swallows the rest, so an operator behind it could never match.
  const last = segments.indexOf('{**}');
  for (const [at, segment] of segments.entries()) {
    if (last >= 0 && at > last && /^\{\*{1,2}\}$/.test(segment)) return '{**} must be the last operator';
    if (segment === '{*}' || segment === '{**}') continue;
    if (/[{}]/.test(segment)) return `an operator must be a whole path segment, "${segment}" is not {*} or {**}`;
    if (segment.includes('*')) return 'a template must not hold a plain *';
    if (!LITERAL_SEGMENT.test(segment)) return `segment "${segment}" holds a character that templates do not allow`;
  }
  return null;
}
