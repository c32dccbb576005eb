import type { Claims } from '#model/authentication/token.ts';
import { cookieValue } from '#model/balancing/session.ts';
import { isFraming } from '#model/routing/header-edits.ts';
import type { JwtRule, TokenLocation } from '#model/waypoint/jwt.ts';

/** What a token may be found in. */
export type TokenBearer = {
  /** Without `?`. */
  readonly query: string;
  /** Every value; `name` in lower case. */
  headerValues(name: string): readonly string[];
};

/** A token with the place where it was found. */
export type FoundToken = { readonly text: string; readonly location: TokenLocation };

/** Every token that is in one of the places. Of a header that comes several times each value counts: none may slip by. */
export function tokensAt(location: TokenLocation, bearer: TokenBearer): FoundToken[] {
  return textsAt(location, bearer).map((text) => ({ text, location }));
}

function textsAt(location: TokenLocation, bearer: TokenBearer): string[] {
  switch (location.in) {
    case 'header':
      return bearer.headerValues(location.name).flatMap((value) => {
        if (!value.startsWith(location.prefix)) return [];
        // As Envoy reads it: the token ends where something begins that no token holds.
        const [text = ''] = value.slice(location.prefix.length).trim().split(/[\s,]/);
        return text === '' ? [] : [text];
      });
    case 'query':
      return bearer.query
        .split('&')
        .filter((pair) => pair.startsWith(`${location.name}=`))
        .map((pair) => pair.slice(location.name.length + 1))
        .filter((text) => text !== '');
    case 'cookie': {
      const value = cookieValue(bearer.headerValues('cookie'), location.name);
      return value === null || value === '' ? [] : [value];
    }
  }
}

/** The query without one parameter. */
export function withoutParam(query: string, name: string): string {
  return query
    .split('&')
    .filter((pair) => pair !== name && !pair.startsWith(`${name}=`))
    .join('&');
}

/** The value of a Cookie header without one cookie; '' when nothing is left. */
export function withoutCookie(line: string, name: string): string {
  return line
    .split(';')
    .map((pair) => pair.trim())
    .filter((pair) => pair !== '' && !pair.startsWith(`${name}=`))
    .join('; ');
}

/** Headers that only a token may set: what a client writes there itself is taken away. */
export function claimHeaderNames(rules: readonly JwtRule[]): string[] {
  const names = rules.flatMap(({ payloadHeader, claimHeaders }) => [payloadHeader, ...claimHeaders.map(({ header }) => header)]);
  return [...new Set(names.filter((name) => name !== '' && !isFraming(name)).map((name) => name.toLowerCase()))];
}

/** What a rule says of headers, as name and value; a claim that is neither a text, a number nor a boolean sets none. */
export function claimHeaders(
  { payloadHeader, claimHeaders: wanted }: JwtRule,
  claims: Claims,
  payload: string,
): [string, string][] {
  const headers: [string, string][] =
    payloadHeader === '' || isFraming(payloadHeader) ? [] : [[payloadHeader.toLowerCase(), payload]];
  for (const { header, claim } of wanted) {
    const value = isFraming(header) ? null : claimAt(claims, claim.split('.'));
    // Nothing that would end the header.
    if (value !== null && /^[\x20-\x7e\x80-\xff]*$/.test(value)) headers.push([header.toLowerCase(), value]);
  }
  return headers;
}

function claimAt(claims: Claims, path: readonly string[]): string | null {
  let value: unknown = claims;
  for (const name of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return null;
    value = (value as Claims)[name];
  }
  return ['string', 'number', 'boolean'].includes(typeof value) ? String(value) : null;
}
