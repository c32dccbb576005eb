/** What an API server says of a token; null: it is no good here. */
export type ReviewedToken = {
  namespace: string;
  serviceAccount: string;
  /** The pod that it was made for, and the node of that pod; null: it is bound to none. */
  pod: { name: string; uid: string } | null;
  node: string | null;
};

/** Asks about a token for one of these audiences. Errors: WEFT_KUBERNETES_API, WEFT_KUBERNETES_ANSWER: then nobody knows. */
export type ReviewToken = (token: string, audiences: readonly string[]) => Promise<ReviewedToken | null>;

/** Fixed by Kubernetes: what a pod-bound token's review says beside its account. */
const EXTRA = {
  pod: 'authentication.kubernetes.io/pod-name',
  uid: 'authentication.kubernetes.io/pod-uid',
  node: 'authentication.kubernetes.io/node-name',
};

/** The question, as it is sent. */
export function tokenReviewOf(token: string, audiences: readonly string[]): object {
  return { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenReview', spec: { token, audiences } };
}

/**
 * The answer. A server that does not know audiences says none: then the token is not known to be for us. null too for whoever is no
 * service account.
 */
export function readTokenReview(answer: unknown, audiences: readonly string[]): ReviewedToken | null {
  const { status } = (answer ?? {}) as { status?: RawStatus };
  if (status?.authenticated !== true) return null;
  if (!(status.audiences ?? []).some((one) => audiences.includes(one))) return null;
  const [, namespace, serviceAccount] = /^system:serviceaccount:([^:]+):([^:]+)$/.exec(status.user?.username ?? '') ?? [];
  if (namespace === undefined || serviceAccount === undefined) return null;
  const said = (key: string): string | null => status.user?.extra?.[key]?.[0] ?? null;
  const [name, uid] = [said(EXTRA.pod), said(EXTRA.uid)];
  const pod = name === null || uid === null ? null : { name, uid };
  return { namespace, serviceAccount, pod, node: said(EXTRA.node) };
}

type RawStatus = {
  authenticated?: boolean;
  audiences?: string[];
  user?: { username?: string; extra?: Record<string, string[] | undefined> };
};
