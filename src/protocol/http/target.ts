/** Printable ASCII without space: what a request target may hold (RFC 3986 and nothing else). */
const TARGET = /^[\x21-\x7e]+$/;
/** Anything that normalization could change. */
const NEEDS_WORK = /[%\\]|\/\.{1,2}(?:\/|$)/;
const UNRESERVED = /[A-Za-z0-9\-._~]/;

/**
 * The one canonical form of an origin-form target, used by policy and routing and forwarded alike (W15-W18):
 * fragment cut, `\` turned into `/`, unreserved percent-escapes decoded once, dot segments resolved.
 * Repeated slashes and `%2F` stay. Null when it is not a path, or hides a NUL: answer 400.
 */
export function normalizeTarget(target: string): string | null {
  if (!TARGET.test(target)) return null;
  const fragment = target.indexOf('#');
  const whole = fragment < 0 ? target : target.slice(0, fragment);
  const question = whole.indexOf('?');
  const path = question < 0 ? whole : whole.slice(0, question);
  if (!path.startsWith('/')) return null;
  if (!NEEDS_WORK.test(path)) return whole;
  const normal = normalizePath(path);
  // `%2%65` would decode into a fresh escape that the next hop decodes again: not one canonical form, so refused.
  if (normal !== null && normalizePath(normal) !== normal) return null;
  return normal === null || question < 0 ? normal : normal + whole.slice(question);
}

/** What an absolute-form target says, or null when it is not one of http or https. */
export function splitAbsoluteTarget(target: string): { authority: string; target: string } | null {
  const match = /^https?:\/\/([^/?#]+)(.*)$/i.exec(target);
  if (match === null) return null;
  const [, authority = '', rest = ''] = match;
  return { authority, target: rest.startsWith('/') ? rest : `/${rest}` };
}

/** A host with optional port, without user information; what Host and :authority may hold. */
export function isAuthority(text: string): boolean {
  return /^(?:[A-Za-z0-9\-._~!$&'()*+;=%]+|\[[0-9A-Fa-f:.]+\])(?::\d{0,5})?$/.test(text);
}

function normalizePath(path: string): string | null {
  if (/%00/.test(path)) return null;
  const decoded = path.replaceAll('\\', '/').replace(/%([0-9A-Fa-f]{2})/g, (found, digits: string) => {
    const letter = String.fromCharCode(Number.parseInt(digits, 16));
    return UNRESERVED.test(letter) ? letter : found;
  });
  const kept: string[] = [];
  const segments = decoded.slice(1).split('/');
  segments.forEach((segment, at) => {
    const last = at === segments.length - 1;
    if (segment === '..') kept.pop();
    if (segment !== '.' && segment !== '..') kept.push(segment);
    else if (last) kept.push('');
  });
  return `/${kept.join('/')}`;
}
