import { compileStringMatch } from '#model/routing/string-match.ts';
import type { HttpCors } from '#model/waypoint/filters.ts';

/** The parts of an origin; the port is always known. */
type Origin = { readonly scheme: string; readonly host: string; readonly port: number };

/** A CORS filter, ready to apply. */
export type Cors = Omit<HttpCors, 'allowOrigins' | 'originMatches'> & { allows(origin: string): boolean };

/** What a preflight asks. */
export type Preflight = { readonly origin: string; readonly method: string; readonly headers: string | null };

/** Compiles the origins; one that is none allows nobody. */
export function compileCors({ allowOrigins, originMatches = [], ...rest }: HttpCors, problem: (why: string) => void): Cors {
  if (allowOrigins.includes('*')) return { ...rest, allows: () => true };
  const tests = allowOrigins.map(originTest);
  const texts = originMatches.map((match) => compileStringMatch(match, problem)).filter((test) => test !== null);
  return {
    ...rest,
    allows(text) {
      if (texts.some((test) => test(text))) return true;
      const origin = parseOrigin(text);
      return origin !== null && tests.some((test) => test(origin));
    },
  };
}

/** Headers of the answer to a preflight, as name, value, …; none for an origin that is not allowed. */
export function preflightHeaders(cors: Cors, { origin, method, headers }: Preflight): string[] {
  if (!cors.allows(origin)) return [];
  const pairs = originHeaders(cors, origin);
  const allowed = listed(cors.allowMethods, cors.allowCredentials ? method : '*');
  if (allowed !== '') pairs.push('access-control-allow-methods', allowed);
  // Nothing was asked of headers: then nothing is said of them.
  const permitted = headers === null ? '' : listed(cors.allowHeaders, cors.allowCredentials ? headers : '*');
  if (permitted !== '') pairs.push('access-control-allow-headers', permitted);
  if (cors.maxAgeSeconds !== null) pairs.push('access-control-max-age', String(cors.maxAgeSeconds));
  return pairs;
}

/** Headers of a response that a page of `origin`, which is allowed, may read. `names`: of all headers that it has. */
export function sharedHeaders(cors: Cors, origin: string, names: () => readonly string[]): string[] {
  const pairs = originHeaders(cors, origin);
  const exposed = cors.exposeHeaders.includes('*') && cors.allowCredentials ? names().join(', ') : cors.exposeHeaders.join(', ');
  if (exposed !== '') pairs.push('access-control-expose-headers', exposed);
  return pairs;
}

function originHeaders({ allowCredentials }: Cors, origin: string): string[] {
  const pairs = ['access-control-allow-origin', origin];
  if (allowCredentials) pairs.push('access-control-allow-credentials', 'true');
  return pairs;
}

/** Browsers take no `*` for requests with credentials. */
function listed(list: readonly string[], everything: string): string {
  return list.includes('*') ? everything : list.join(', ');
}

const DEFAULT_PORT: Readonly<Record<string, number>> = { http: 80, https: 443 };

function parseOrigin(text: string): Origin | null {
  const parts = /^([a-z][a-z0-9+.-]*):\/\/(\*|[^/:?#@\s]+|\[[0-9a-f:.]+\])(?::(\d{1,5}))?$/.exec(text.toLowerCase());
  if (parts === null) return null;
  const [, scheme = '', host = '', port] = parts;
  return { scheme, host, port: port === undefined ? (DEFAULT_PORT[scheme] ?? 0) : Number(port) };
}

/** A star stands for the host, or for one or more labels before the rest. */
function originTest(pattern: string): (origin: Origin) => boolean {
  const wanted = parseOrigin(pattern);
  if (wanted === null) return () => false;
  const { scheme, host, port } = wanted;
  const suffix = host.startsWith('*') ? host.slice(1) : null;
  return (origin) => {
    if (origin.scheme !== scheme || origin.port !== port) return false;
    if (suffix === null) return origin.host === host;
    return origin.host.length > suffix.length && origin.host.endsWith(suffix);
  };
}
