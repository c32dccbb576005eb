import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { jwtVerify, SignJWT } from 'jose';
import type { Clock } from '#model/effects/clock.ts';
import type { StateStore } from '#model/effects/state-store.ts';
import { WeftError } from '#model/error.ts';
import { RpcError } from '#protocol/xds/resource-fault.ts';
import type { Authenticator, Caller, TokenIssuer } from './authenticator.ts';

/** The audience Istio's clients carry; with it a stock ztunnel's token file works here. */
const AUDIENCE = 'istio-ca';
/** Tells our tokens from those of a cluster, which name the same audience. */
const ISSUER = 'weft';
/** The only one accepted: a token that names another (or none) is no token of ours, whatever it is signed with. */
const ALGORITHM = 'ES256';
const KEY_NAME = 'token-key.pem';

/** Mints and checks the tokens that agents and waypoints present; the key is made on first use and kept in the store. */
export class TokenAuthority implements Authenticator, TokenIssuer {
  readonly #privateKey: KeyObject;
  readonly #publicKey: KeyObject;
  readonly #clock: Clock;

  private constructor(privateKey: KeyObject, clock: Clock) {
    this.#privateKey = privateKey;
    this.#publicKey = createPublicKey(privateKey);
    this.#clock = clock;
  }

  /** Errors: WEFT_TOKEN_KEY when the kept key cannot be read. */
  static async open(store: StateStore, clock: Clock): Promise<TokenAuthority> {
    const kept = await store.read(KEY_NAME);
    if (kept !== null) return new TokenAuthority(readKey(kept), clock);
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    await store.write(KEY_NAME, privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(), { secret: true });
    return new TokenAuthority(privateKey, clock);
  }

  /** A token for `caller`, valid from now for `ttlMs`. */
  async mint(caller: Caller, ttlMs: number): Promise<string> {
    // JWTs count whole seconds; rounding down never lets a token live longer than it was asked to.
    const nowSeconds = Math.floor(this.#clock.nowMs() / 1_000);
    return new SignJWT(caller.node === null ? {} : { node: caller.node })
      .setProtectedHeader({ alg: ALGORITHM })
      .setSubject(`system:serviceaccount:${caller.namespace}:${caller.serviceAccount}`)
      .setAudience(AUDIENCE)
      .setIssuer(ISSUER)
      .setIssuedAt(nowSeconds)
      .setExpirationTime(nowSeconds + Math.floor(ttlMs / 1_000))
      .sign(this.#privateKey);
  }

  async authenticate(authorizationHeader: string | undefined): Promise<Caller> {
    return this.verify(bearerToken(authorizationHeader));
  }

  /** Errors: RpcError unauthenticated for anything but a current token of ours; the peer learns no detail (C13). */
  async verify(token: string): Promise<Caller> {
    try {
      const { payload } = await jwtVerify(token, this.#publicKey, {
        algorithms: [ALGORITHM],
        audience: AUDIENCE,
        issuer: ISSUER,
        requiredClaims: ['sub', 'exp'],
        currentDate: new Date(this.#clock.nowMs()),
      });
      return callerOf(payload.sub ?? '', payload.node);
    } catch (error) {
      throw new RpcError('unauthenticated', 'authentication failed', { cause: error });
    }
  }
}

/** The token of an `authorization` header. Errors: RpcError unauthenticated when there is none. */
export function bearerToken(header: string | undefined): string {
  const token = /^Bearer (\S+)$/i.exec(header ?? '')?.[1];
  if (token === undefined)
    throw new RpcError('unauthenticated', 'authentication failed', { cause: new Error('no bearer token') });
  return token;
}

/** The subject has the form of Kubernetes' service account tokens. */
function callerOf(subject: string, node: unknown): Caller {
  const [, namespace, serviceAccount] = /^system:serviceaccount:([^:]+):([^:]+)$/.exec(subject) ?? [];
  if (namespace === undefined || serviceAccount === undefined) throw new Error(`subject "${subject}" is no service account`);
  if (node !== undefined && typeof node !== 'string') throw new Error('the node claim is not a text');
  return { namespace, serviceAccount, node: node ?? null };
}

function readKey(pem: string): KeyObject {
  try {
    return createPrivateKey(pem);
  } catch (error) {
    throw new WeftError('WEFT_TOKEN_KEY', `the token key ${KEY_NAME} in the state directory cannot be read`, {
      cause: error,
      remedy: 'restore the file from a backup, or remove it and give every agent a new token',
    });
  }
}
