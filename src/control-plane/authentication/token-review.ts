import { createHash } from 'node:crypto';
import { decodeJwt } from 'jose';
import type { Clock } from '#model/effects/clock.ts';
import { KUBERNETES } from '#model/settings/kubernetes.ts';
import type { NodeGrant } from '#model/trust/grant.ts';
import type { ReviewedToken, ReviewToken } from '#protocol/kubernetes/token-review.ts';
import { RpcError } from '#protocol/xds/resource-fault.ts';
import type { Authenticator, Proof } from './authenticator.ts';
import { bearerToken } from './tokens.ts';

/** Istio's audience, which its clients' tokens have, and our own. */
export const AUDIENCES: readonly string[] = ['istio-ca', 'weft'];
/** On a cluster the API server says which pods run on a node: an agent has their identities, and announces nothing by itself. */
const CLUSTER_GRANT: NodeGrant = Object.freeze({ identities: ['*/*'], addresses: [], waypoints: false, podsOnly: true });

/** What asking an API server about tokens needs. */
export type TokenReviewOptions = {
  review: ReviewToken;
  /** `<namespace>/<service account>` of agents: a token of theirs speaks for the node of its pod, and only for that. */
  nodeAccounts: readonly string[];
  clock: Clock;
};

/** An answer that is remembered, by the hash of its token: what was refused is asked again. */
type Known = { token: ReviewedToken; askedMs: number };

/**
 * Proves callers by the API server of their cluster: a token has to be for us and of a pod. Good answers hold for a minute (K97), and
 * while the API server is away for longer (K85): what runs is not to end because nobody can be asked.
 */
export class TokenReviewAuthenticator implements Authenticator {
  readonly #options: TokenReviewOptions;
  readonly #known = new Map<string, Known>();

  constructor(options: TokenReviewOptions) {
    this.#options = options;
  }

  async authenticate(authorizationHeader: string | undefined): Promise<Proof> {
    const token = bearerToken(authorizationHeader);
    try {
      return this.#proofOf(await this.#reviewed(token), expiryMs(token));
    } catch (error) {
      if (error instanceof RpcError) throw error;
      throw new RpcError('unauthenticated', 'authentication failed', { cause: error });
    }
  }

  async #reviewed(token: string): Promise<ReviewedToken> {
    const { clock, review } = this.#options;
    const key = createHash('sha256').update(token).digest('base64');
    const known = this.#known.get(key);
    const ageMs = known === undefined ? Number.POSITIVE_INFINITY : clock.monotonicMs() - known.askedMs;
    if (known !== undefined && ageMs < KUBERNETES.reviewGoodMs) return known.token;
    let answer: ReviewedToken | null;
    try {
      answer = await review(token, AUDIENCES);
    } catch (error) {
      if (known !== undefined && ageMs < KUBERNETES.reviewAwayMs) return known.token;
      throw new RpcError('unavailable', 'the API server that knows this token is not reached', { cause: error });
    }
    this.#known.delete(key);
    if (answer === null) throw new Error('the API server does not know this token, or it is for somebody else');
    this.#known.set(key, { token: answer, askedMs: clock.monotonicMs() });
    const [oldest] = this.#known.keys();
    if (this.#known.size > KUBERNETES.reviewsKnownMax && oldest !== undefined) this.#known.delete(oldest);
    return answer;
  }

  #proofOf({ namespace, serviceAccount, pod, node }: ReviewedToken, untilMs: number | null): Proof {
    if (untilMs !== null && this.#options.clock.nowMs() >= untilMs) throw new Error('the token has expired');
    // Else it would be good after its pod has gone.
    if (pod === null) throw new Error('the token is bound to no pod');
    if (!this.#options.nodeAccounts.includes(`${namespace}/${serviceAccount}`))
      return { namespace, serviceAccount, node: null, grant: null, untilMs };
    if (node === null) throw new Error('the token of an agent does not say its node: Kubernetes 1.30 or newer writes it');
    return { namespace, serviceAccount, node, grant: CLUSTER_GRANT, untilMs };
  }
}

/** Who calls, by tokens of our own (a waypoint's, say) or by those of the cluster; the issuer, of which nothing is believed yet, tells which. */
export function eitherAuthenticator(own: Authenticator, ofCluster: Authenticator): Authenticator {
  return {
    authenticate: (header) => (issuerOf(header) === 'weft' ? own : ofCluster).authenticate(header),
  };
}

function issuerOf(header: string | undefined): string | null {
  try {
    return decodeJwt(bearerToken(header)).iss ?? null;
  } catch {
    return null;
  }
}

/** When a token ends, as it says itself: whether it is good was asked. */
function expiryMs(token: string): number | null {
  try {
    const { exp } = decodeJwt(token);
    return exp === undefined ? null : exp * 1_000;
  } catch {
    return null;
  }
}
