import { WeftError } from '#model/error.ts';

/** A workload identity: `spiffe://<trust domain>/ns/<namespace>/sa/<service account>`. */
export type Identity = { readonly trustDomain: string; readonly namespace: string; readonly serviceAccount: string };

const SEGMENT = /^[A-Za-z0-9._-]{1,253}$/;

/** Identities are never changed; each connection asks for the text of several, several times. */
const texts = new WeakMap<Identity, string>();

/** The SPIFFE URI of an identity. */
export function formatIdentity(identity: Identity): string {
  const known = texts.get(identity);
  if (known !== undefined) return known;
  const text = `spiffe://${identity.trustDomain}/ns/${identity.namespace}/sa/${identity.serviceAccount}`;
  texts.set(identity, text);
  return text;
}

/** Reads a SPIFFE URI of exactly the mesh's shape; null for anything else (also for embedded NUL). */
export function tryParseIdentity(uri: string): Identity | null {
  if (!uri.startsWith('spiffe://')) return null;
  const parts = uri.slice('spiffe://'.length).split('/');
  const [trustDomain, ns, namespace, sa, serviceAccount] = parts;
  if (parts.length !== 5 || ns !== 'ns' || sa !== 'sa') return null;
  for (const segment of [trustDomain, namespace, serviceAccount]) {
    if (segment === undefined || !SEGMENT.test(segment)) return null;
  }
  return { trustDomain, namespace, serviceAccount } as Identity;
}

/** Errors: WEFT_IDENTITY when `uri` is not a mesh identity. */
export function parseIdentity(uri: string): Identity {
  const identity = tryParseIdentity(uri);
  if (identity === null) {
    throw new WeftError('WEFT_IDENTITY', `"${uri}" is not a workload identity`, {
      remedy: 'write spiffe://<trust domain>/ns/<namespace>/sa/<service account>',
    });
  }
  return identity;
}

/** The form policies compare: the URI without `spiffe://`. */
export function principalOf(identity: Identity): string {
  return formatIdentity(identity).slice('spiffe://'.length);
}

/** Whether two identities are equal in all parts. */
export function sameIdentity(a: Identity, b: Identity): boolean {
  return a.trustDomain === b.trustDomain && a.namespace === b.namespace && a.serviceAccount === b.serviceAccount;
}

/** An X.509 SVID with its private key. Lives in memory only: never logged, never written to disk. */
export type Credentials = {
  identity: Identity;
  privateKeyPem: string;
  /** Leaf first, then intermediates; no root. */
  chainPem: string;
  /** Roots that peers are verified against. */
  rootsPem: readonly string[];
  notBeforeMs: number;
  notAfterMs: number;
};
