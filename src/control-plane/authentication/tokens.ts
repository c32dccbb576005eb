import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { jwtVerify, SignJWT } from 'jose';
import type { Clock } from '#model/effects/clock.ts';
import type { StateStore } from '#model/effects/state-store.ts';
import { WeftError } from '#model/error.ts';
import { CERTIFICATE } from '#model/settings/control-planes.ts';
import { NO_GRANT, tryParseGrant } from '#model/trust/grant.ts';
import { RpcError } from '#protocol/xds/resource-fault.ts';
import type { Authenticator, Proof, TokenIssuer } from './authenticator.ts';

/** The audience Istio's clients carry; with it a stock ztunnel's token file works here. */
const AUDIENCE = 'istio-ca';
/** Tells our tokens from those of a cluster, which name the same audience. */
const ISSUER = 'weft';
/** The only one accepted: a token that names another (or none) is no token of ours, whatever it is signed with. */
const ALGORITHM = 'ES256';
/** What every replica needs of the state. */
export const KEY_NAME = 'token-key.pem';
/** How often the tokens of each node were revoked. */
export const REVOCATIONS_NAME = 'token-revocations.json';

/** What a token with a good signature says. */
type Verified = { proof: Proof & { untilMs: number }; revocations: number };

/** Mints and checks the tokens that agents and waypoints present; the key is made on first use and kept in the store. */
export class TokenAuthority implements Authenticator, TokenIssuer {
  readonly #privateKey: KeyObject;
  readonly #publicKey: KeyObject;
  readonly #store: StateStore;
  readonly #clock: Clock;
  /** Node → how often its tokens were revoked: a token says how often they had been when it was made. */
  readonly #revocations: Map<string, number>;
  /** Tokens whose signature is good. */
  readonly #verified = new Map<string, Verified>();

  private constructor(privateKey: KeyObject, revocations: Map<string, number>, store: StateStore, clock: Clock) {
    this.#privateKey = privateKey;
    this.#publicKey = createPublicKey(privateKey);
    this.#revocations = revocations;
    this.#store = store;
    this.#clock = clock;
  }

  /** Errors: WEFT_TOKEN_KEY when the kept key, or what is known of revoked tokens, cannot be read. */
  static async open(store: StateStore, clock: Clock): Promise<TokenAuthority> {
    const kept = await store.read(KEY_NAME);
    const revocations = readRevocations(await store.read(REVOCATIONS_NAME));
    if (kept !== null) return new TokenAuthority(readKey(kept), revocations, store, clock);
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    await store.write(KEY_NAME, privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(), { secret: true });
    return new TokenAuthority(privateKey, revocations, store, clock);
  }

  /** A token for `proof`, valid from now for `ttlMs`. */
  async mint(proof: Omit<Proof, 'untilMs'>, ttlMs: number): Promise<string> {
    // JWTs count whole seconds; rounding down never lets a token live longer than it was asked to.
    const nowSeconds = Math.floor(this.#clock.nowMs() / 1_000);
    const { node, grant } = proof;
    return new SignJWT(node === null ? {} : { node, grant: grant ?? NO_GRANT, revocations: this.#revocations.get(node) ?? 0 })
      .setProtectedHeader({ alg: ALGORITHM })
      .setSubject(`system:serviceaccount:${proof.namespace}:${proof.serviceAccount}`)
      .setAudience(AUDIENCE)
      .setIssuer(ISSUER)
      .setIssuedAt(nowSeconds)
      .setExpirationTime(nowSeconds + Math.floor(ttlMs / 1_000))
      .sign(this.#privateKey);
  }

  /** Every token of a node that was made until now is refused from now on. Errors: WEFT_STATE_DIR when that cannot be kept. */
  async revoke(node: string): Promise<void> {
    const revocations = new Map(this.#revocations).set(node, (this.#revocations.get(node) ?? 0) + 1);
    // Kept first: a revocation that a restart undoes would be none.
    await this.#store.write(REVOCATIONS_NAME, JSON.stringify(Object.fromEntries(revocations)), { secret: false });
    this.#revocations.set(node, revocations.get(node) ?? 0);
  }

  /** What the replica that leads has written under REVOCATIONS_NAME; returns the nodes whose tokens are revoked by that. Errors: WEFT_TOKEN_KEY. */
  follow(text: string | null): string[] {
    const told = readRevocations(text);
    const revoked = [...told].filter(([node, count]) => count > (this.#revocations.get(node) ?? 0));
    for (const [node, count] of revoked) this.#revocations.set(node, count); // never less: a revocation is not taken back
    return revoked.map(([node]) => node);
  }

  async authenticate(authorizationHeader: string | undefined): Promise<Proof> {
    return this.verify(bearerToken(authorizationHeader));
  }

  /** Errors: RpcError unauthenticated for anything but a current token of ours; the peer learns no detail (C13). */
  async verify(token: string): Promise<Proof> {
    try {
      const { proof, revocations } = this.#verified.get(token) ?? (await this.#check(token));
      // What may have changed since it was checked, the signature not being of that.
      if (this.#clock.nowMs() >= proof.untilMs) throw new Error('the token has expired');
      if (proof.node !== null && revocations !== (this.#revocations.get(proof.node) ?? 0))
        throw new Error(`this token of node ${proof.node} is revoked`);
      return proof;
    } catch (error) {
      throw new RpcError('unauthenticated', 'authentication failed', { cause: error });
    }
  }

  /** Checks a signature, once for each token: nodes that come back all at once show the same ones again and again. */
  async #check(token: string): Promise<Verified> {
    const { payload } = await jwtVerify(token, this.#publicKey, {
      algorithms: [ALGORITHM],
      audience: AUDIENCE,
      issuer: ISSUER,
      requiredClaims: ['sub', 'exp'],
      currentDate: new Date(this.#clock.nowMs()),
    });
    const proof = { ...proofOf(payload.sub ?? '', payload.node, payload.grant), untilMs: (payload.exp ?? 0) * 1_000 };
    const verified = { proof, revocations: Number(payload.revocations ?? 0) };
    // Only good ones are kept: bad ones are made up as fast as one likes.
    this.#verified.set(token, verified);
    const [oldest] = this.#verified.keys();
    if (this.#verified.size > CERTIFICATE.tokensKnownMax && oldest !== undefined) this.#verified.delete(oldest);
    return verified;
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
function proofOf(subject: string, node: unknown, grant: unknown): Omit<Proof, 'untilMs'> {
  const [, namespace, serviceAccount] = /^system:serviceaccount:([^:]+):([^:]+)$/.exec(subject) ?? [];
  if (namespace === undefined || serviceAccount === undefined) throw new Error(`subject "${subject}" is no service account`);
  if (node !== undefined && typeof node !== 'string') throw new Error('the node claim is not a text');
  // A token that says nothing of it, as older ones do, is good for its node's name and for nothing that a node can have.
  return { namespace, serviceAccount, node: node ?? null, grant: node === undefined ? null : (tryParseGrant(grant) ?? NO_GRANT) };
}

/** By node. What cannot be read is not taken for nothing: tokens that were revoked would be good again. */
function readRevocations(text: string | null): Map<string, number> {
  try {
    const entries = Object.entries(JSON.parse(text ?? '{}') as Record<string, unknown>);
    return new Map(
      entries.map(([node, count]) => {
        if (typeof count !== 'number') throw new Error(`${node} has no count`);
        return [node, count];
      }),
    );
  } catch (error) {
    throw new WeftError('WEFT_TOKEN_KEY', `${REVOCATIONS_NAME} in the state directory cannot be read`, {
      cause: error,
      remedy: 'restore the file from a backup; or remove it and token-key.pem, and give every agent a new token',
    });
  }
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
