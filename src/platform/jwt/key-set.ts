import { constants, createPublicKey, type JsonWebKey, type KeyObject, verify } from 'node:crypto';
import type { JwtKeys } from '#model/authentication/judge.ts';
import type { ParsedToken } from '#model/authentication/token.ts';
import { JWT } from '#model/settings/jwt.ts';

type Scheme = { readonly hash: string | null; readonly kty: string; readonly curve?: string; readonly pss?: boolean };

/** What is taken: signatures by a private key. `none` and HMAC are not among them: with them, whoever can check can sign. */
const SCHEMES: Readonly<Record<string, Scheme>> = {
  RS256: { hash: 'sha256', kty: 'RSA' },
  RS384: { hash: 'sha384', kty: 'RSA' },
  RS512: { hash: 'sha512', kty: 'RSA' },
  PS256: { hash: 'sha256', kty: 'RSA', pss: true },
  PS384: { hash: 'sha384', kty: 'RSA', pss: true },
  PS512: { hash: 'sha512', kty: 'RSA', pss: true },
  ES256: { hash: 'sha256', kty: 'EC', curve: 'P-256' },
  ES384: { hash: 'sha384', kty: 'EC', curve: 'P-384' },
  ES512: { hash: 'sha512', kty: 'EC', curve: 'P-521' },
  EdDSA: { hash: null, kty: 'OKP' },
};

/** The salt is as long as the hash (RFC 7518 3.5). */
const PSS = { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST } as const;

type Key = { readonly id: string | null; readonly algorithm: string | null; readonly jwk: JsonWebKey; readonly key: KeyObject };

/** The keys of a JSON Web Key Set; those that cannot be used are left out. Null when there is no list of keys. */
export function jwtKeysOf(jwks: string): JwtKeys | null {
  const list = listOf(jwks);
  if (list === null) return null;
  const keys = list.slice(0, JWT.keysMax).flatMap(readKey);
  return {
    verifies: (token) => keys.some((key) => fits(key, token) && hasSigned(key, token)),
    has: (token) => token.keyId !== null && keys.some((key) => key.id === token.keyId && fits(key, token)),
  };
}

function listOf(jwks: string): JsonWebKey[] | null {
  try {
    const keys = (JSON.parse(jwks) as { keys?: unknown } | null)?.keys;
    return Array.isArray(keys) ? (keys as JsonWebKey[]) : null;
  } catch {
    return null;
  }
}

function readKey(jwk: JsonWebKey): Key[] {
  const { kid, alg, use, kty } = jwk ?? {};
  if ((use !== undefined && use !== 'sig') || kty === 'oct') return [];
  try {
    const key = createPublicKey({ key: jwk, format: 'jwk' });
    return [{ id: typeof kid === 'string' ? kid : null, algorithm: typeof alg === 'string' ? alg : null, jwk, key }];
  } catch {
    return [];
  }
}

/** A token that names its key is checked with that one alone; the key says for what it is. */
function fits({ id, algorithm, jwk }: Key, token: ParsedToken): boolean {
  const scheme = Object.hasOwn(SCHEMES, token.algorithm) ? SCHEMES[token.algorithm] : undefined;
  if (scheme === undefined || jwk.kty !== scheme.kty) return false;
  if (scheme.curve !== undefined && jwk.crv !== scheme.curve) return false;
  if (algorithm !== null && algorithm !== token.algorithm) return false;
  return token.keyId === null || id === null || id === token.keyId;
}

function hasSigned({ key }: Key, { algorithm, signed, signature }: ParsedToken): boolean {
  const scheme = SCHEMES[algorithm];
  if (scheme === undefined) return false;
  const data = Buffer.from(signed, 'latin1');
  try {
    // Signatures of JWT by elliptic curves are the two numbers, one after the other.
    const how = { key, ...(scheme.kty === 'EC' ? { dsaEncoding: 'ieee-p1363' as const } : {}), ...(scheme.pss ? PSS : {}) };
    return verify(scheme.hash, data, how, signature);
  } catch {
    return false;
  }
}
