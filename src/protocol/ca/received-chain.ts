import { createPrivateKey, X509Certificate } from 'node:crypto';
import { WeftError } from '#model/error.ts';
import { type Credentials, formatIdentity, type Identity } from '#model/identity/identity.ts';
import { splitCertificates } from './pem.ts';

/** A reply, with what it was the answer to. */
export type ReceivedChain = { identity: Identity; privateKeyPem: string; chain: readonly string[]; nowMs: number };

/**
 * Credentials from an authority's reply [leaf, intermediates…, roots].
 * Errors: WEFT_CA_REPLY when the leaf names anybody else (B57), is for another key, has expired,
 * or does not lead to one of the roots. Source: docs/rules/control-plane.md.
 */
export function credentialsFromReply({ identity, privateKeyPem, chain, nowMs }: ReceivedChain): Credentials {
  const wanted = formatIdentity(identity);
  const certificates = chain.slice(0, -1).flatMap(splitCertificates);
  const rootsPem = splitCertificates(chain.at(-1) ?? '');
  const [leafPem] = certificates;
  if (leafPem === undefined || rootsPem.length === 0) refuse(wanted, 'a leaf and a root are needed');
  const [leaf, ...intermediates] = parse(wanted, certificates);
  if (leaf === undefined) return refuse(wanted, 'there is no leaf');
  if (leaf.subjectAltName !== `URI:${wanted}`) refuse(wanted, `the certificate is for "${leaf.subjectAltName ?? 'nobody'}"`);
  if (!leaf.checkPrivateKey(createPrivateKey(privateKeyPem))) refuse(wanted, 'the certificate is for another key');
  const notAfterMs = leaf.validToDate.getTime();
  if (notAfterMs <= nowMs) refuse(wanted, `the certificate expired on ${leaf.validTo}`);
  if (!leadsToRoot([leaf, ...intermediates], parse(wanted, rootsPem)))
    refuse(wanted, 'the chain does not lead to one of the roots');
  return {
    identity,
    privateKeyPem,
    chainPem: certificates.join(''),
    rootsPem,
    notBeforeMs: leaf.validFromDate.getTime(),
    notAfterMs,
  };
}

function parse(wanted: string, pems: readonly string[]): X509Certificate[] {
  try {
    return pems.map((pem) => new X509Certificate(pem));
  } catch (error) {
    return refuse(wanted, 'a certificate cannot be read', error);
  }
}

function leadsToRoot(chain: readonly X509Certificate[], roots: readonly X509Certificate[]): boolean {
  const issuedBy = (child: X509Certificate, issuer: X509Certificate) =>
    child.checkIssued(issuer) && child.verify(issuer.publicKey);
  return chain.every((certificate, at) => {
    const next = chain[at + 1];
    return next === undefined ? roots.some((root) => issuedBy(certificate, root)) : issuedBy(certificate, next);
  });
}

function refuse(wanted: string, reason: string, cause?: unknown): never {
  throw new WeftError('WEFT_CA_REPLY', `the certificate authority's reply for ${wanted} is refused: ${reason}`, {
    cause,
    remedy: 'check which certificate authority the agent is connected to',
  });
}
