import { goDurationMs } from '#control-plane/resources/go-duration.ts';
import { tryParseIp } from '#model/address/ip.ts';
import { whyNotAsked } from '#model/address/outside.ts';
import { JWT } from '#model/settings/jwt.ts';
import type { KeySource } from '#model/waypoint/jwt.ts';
import type { RawJwtRule } from './schema.ts';

/** Where the keys of a rule are fetched, or why they cannot be, and what to write instead. */
export type SourceOfRule =
  | { readonly kind: 'source'; readonly source: KeySource }
  | { readonly kind: 'none'; readonly why: string; readonly remedy: string };

/** Of a rule without keys: its `jwksUri`, or what its issuer says of itself. */
export function sourceOf({ issuer = '', jwksUri, jwks_uri, timeout }: RawJwtRule): SourceOfRule {
  const written = jwksUri ?? jwks_uri;
  const url = parseUrl(written ?? issuer);
  if (url === null) return nowhere(written, 'it is no http or https address');
  if (url.username !== '' || url.password !== '') return nowhere('an address with a password', 'everybody could read it here');
  const ip = tryParseIp(url.hostname.replace(/^\[|\]$/g, ''));
  const why = ip === null ? null : whyNotAsked(ip);
  if (why !== null) return nowhere(written, `its address is ${why}`);
  const timeoutMs = Math.min(JWT.fetchTimeoutMaxMs, Math.ceil(timeoutOf(timeout) ?? JWT.fetchTimeoutMs));
  return { kind: 'source', source: { kind: written === undefined ? 'issuer' : 'jwks', url: written ?? issuer, timeoutMs } };
}

/** Milliseconds; null: not written, or nothing that a fetch could take. */
export function timeoutOf(text: string | undefined): number | null {
  const milliseconds = text === undefined ? null : goDurationMs(text);
  return milliseconds === null || milliseconds < 1 ? null : milliseconds;
}

/** What is not written is not named: the issuer is. */
function nowhere(written: string | undefined, why: string): SourceOfRule {
  if (written !== undefined)
    return { kind: 'none', why: `keys are not fetched from ${written}: ${why}`, remedy: 'correct jwksUri' };
  return {
    kind: 'none',
    why: `there are no keys, and the issuer cannot be asked where they are: ${why}`,
    remedy: 'write jwksUri, or the public keys in jwks',
  };
}

/** Null: it is none of HTTP. */
function parseUrl(text: string): URL | null {
  const url = URL.parse(text);
  return url !== null && (url.protocol === 'https:' || url.protocol === 'http:') ? url : null;
}
