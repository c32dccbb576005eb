import { type PathRewrite, rewritePath } from '#model/routing/path-rewrite.ts';
import type { HttpRedirect } from '#model/waypoint/filters.ts';

/** A redirect, ready to apply. */
export type Redirect = Omit<HttpRedirect, 'path'> & { readonly path: PathRewrite | null };

/** What a redirect takes from the request where it names nothing itself. */
export type RedirectedRequest = {
  readonly scheme: 'http' | 'https';
  /** As the client wrote it, perhaps with a port; '' when it named none. */
  readonly authority: string;
  /** The name of the service that was dialled, and its port. */
  readonly hostname: string;
  readonly port: number;
  readonly path: string;
  /** Without `?`; '' when there is none. */
  readonly query: string;
};

const DEFAULT_PORT = { http: 80, https: 443 } as const;

/**
 * The value of Location. The port is that of the redirect; else, if it names a scheme, that of the scheme; else that of the
 * service. One that the scheme implies is left out (config-api 1.8).
 */
export function redirectLocation(redirect: Redirect, request: RedirectedRequest): string {
  const scheme = redirect.scheme ?? request.scheme;
  // Without any host `//evil.example/` as path would be a place of its own.
  const host = redirect.hostname ?? (withoutPort(request.authority) || request.hostname);
  const port = redirect.port ?? impliedPort(redirect, scheme, request);
  const path = redirect.path === null ? request.path : rewritePath(request.path, redirect.path);
  const query = request.query === '' ? '' : `?${request.query}`;
  return `${scheme}://${host}${port === DEFAULT_PORT[scheme] ? '' : `:${port}`}${path}${query}`;
}

function impliedPort(
  { scheme: named, hostname, portFrom }: Redirect,
  scheme: 'http' | 'https',
  request: RedirectedRequest,
): number {
  switch (portFrom) {
    case 'request':
      return request.port;
    case 'scheme':
      return DEFAULT_PORT[scheme];
    case 'authority': {
      // Another scheme does not go with the port of this one.
      const own = hostname === null && named === null ? /:(\d{1,5})$/.exec(request.authority) : null;
      return own === null ? DEFAULT_PORT[scheme] : Number(own[1]);
    }
    default:
      return named === null ? request.port : DEFAULT_PORT[scheme];
  }
}

function withoutPort(authority: string): string {
  return authority.replace(/:\d*$/, '');
}
