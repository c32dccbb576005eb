import { constants, createHmac, generateKeyPairSync, type JsonWebKey, type KeyObject, sign } from 'node:crypto';

/** An issuer's key, with the public part as its key set shows it. */
export type SigningKey = {
  readonly algorithm: string;
  readonly kid: string;
  readonly privateKey: KeyObject;
  readonly jwk: JsonWebKey;
};

const CURVES: Readonly<Record<string, string>> = { ES256: 'P-256', ES384: 'P-384', ES512: 'P-521' };

/** A fresh key of one of the algorithms of JWT. */
export function signingKey(algorithm: string, kid = algorithm): SigningKey {
  const curve = CURVES[algorithm];
  const pair =
    curve !== undefined
      ? generateKeyPairSync('ec', { namedCurve: curve })
      : algorithm === 'EdDSA'
        ? generateKeyPairSync('ed25519')
        : generateKeyPairSync('rsa', { modulusLength: 2048 });
  return { algorithm, kid, privateKey: pair.privateKey, jwk: { ...pair.publicKey.export({ format: 'jwk' }), kid } };
}

/** The key set of an issuer. */
export function keySet(...keys: SigningKey[]): string {
  return JSON.stringify({ keys: keys.map(({ jwk }) => jwk) });
}

/** A signed token; `head` changes what its header says. */
export function signedToken(key: SigningKey, claims: object, head: object = {}): string {
  const encode = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const signed = `${encode({ alg: key.algorithm, kid: key.kid, ...head })}.${encode(claims)}`;
  return `${signed}.${signatureOf(key, signed).toString('base64url')}`;
}

/** What an attacker makes who has the public key only. */
export function forgedByHmac(key: SigningKey, claims: object): string {
  const encode = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const signed = `${encode({ alg: 'HS256', kid: key.kid })}.${encode(claims)}`;
  return `${signed}.${createHmac('sha256', JSON.stringify(key.jwk)).update(signed).digest('base64url')}`;
}

function signatureOf({ algorithm, privateKey }: SigningKey, signed: string): Buffer {
  const data = Buffer.from(signed);
  if (algorithm === 'EdDSA') return sign(null, data, privateKey);
  const hash = `sha${algorithm.slice(2)}`;
  if (algorithm.startsWith('ES')) return sign(hash, data, { key: privateKey, dsaEncoding: 'ieee-p1363' });
  const pss = { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST };
  return sign(hash, data, { key: privateKey, ...(algorithm.startsWith('PS') ? pss : {}) });
}
