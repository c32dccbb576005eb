import { formatIdentity, type Identity, sameIdentity, tryParseIdentity } from '#model/identity/identity.ts';
import { subjectNames } from './subject-names.ts';

/** Whether a peer's certificate is good for this connection; `reason` says what was presented and what was wanted. */
export type IdentityVerdict = { kind: 'accepted'; peer: Identity } | { kind: 'rejected'; reason: string };

/**
 * The URI names of a certificate, from the text form of its subjectAltName extension (as X509Certificate gives it).
 * Null when any name is malformed or a URI holds anything that had to be escaped (NUL, commas, quotes, …).
 */
export function uriSans(subjectAltName: string): string[] | null {
  const names = subjectNames(subjectAltName)?.filter(({ type }) => type === 'URI');
  const uris = names?.flatMap(({ value }) => value ?? []);
  return uris !== undefined && uris.length === names?.length ? uris : null;
}

/** Workload identities among the URI names of a certificate, in its order; none when the names are malformed. */
export function peerIdentities(subjectAltName: string | undefined): Identity[] {
  const uris = uriSans(subjectAltName ?? '') ?? [];
  return uris.map(tryParseIdentity).filter((identity) => identity !== null);
}

function presented(peers: readonly Identity[]): string {
  return peers.length === 0 ? 'no workload identity' : peers.map(formatIdentity).join(', ');
}

/** A client accepts a server that has one of the expected identities (B4). */
export function verifyServer(peers: readonly Identity[], expected: readonly Identity[]): IdentityVerdict {
  const peer = peers.find((candidate) => expected.some((wanted) => sameIdentity(candidate, wanted)));
  if (peer !== undefined) return { kind: 'accepted', peer };
  return { kind: 'rejected', reason: `the server's certificate has ${presented(peers)}; expected ${presented(expected)}` };
}

/**
 * A server accepts a client with an identity in its own trust domain (B3). Policies then see the first identity
 * of the certificate, so a certificate whose first one is foreign is rejected as well.
 */
export function verifyClient(peers: readonly Identity[], trustDomain: string): IdentityVerdict {
  const peer = peers[0];
  if (peer !== undefined && peer.trustDomain === trustDomain) return { kind: 'accepted', peer };
  return {
    kind: 'rejected',
    reason: `the client's certificate has ${presented(peers)}; expected one of trust domain ${trustDomain}`,
  };
}
