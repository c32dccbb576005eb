import { CERTIFICATE } from '#model/settings/control-planes.ts';
// The certificate library needs this polyfill to be loaded before it.
import 'reflect-metadata';
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509CertificateGenerator,
} from '@peculiar/x509';
import { WeftError } from '#model/error.ts';
import { formatIdentity, type Identity } from '#model/identity/identity.ts';
import type { AcceptedRequest } from '#protocol/ca/accepted-request.ts';
import type { Signer } from '#protocol/ca/signer.ts';

/** The longest common name. Fixed by X.520. */
const COMMON_NAME_CHARS_MAX = 64;

/** Whom a certificate names. */
export type CertificateSubject =
  | { kind: 'workload'; identity: Identity }
  | { kind: 'server'; dnsNames: readonly string[]; ips: readonly string[] };

/** One certificate to be issued. */
export type IssueOptions = { request: AcceptedRequest; subject: CertificateSubject; ttlMs: number; nowMs: number };

/**
 * The PEM of a new leaf: the names of `subject` and nothing from the CSR but its key (C20); for TLS servers and clients;
 * from two minutes ago until now + ttl, never longer than the signer lives (C21).
 * Errors: WEFT_CA_SIGNER when the signer has expired. Source: docs/rules/control-plane.md.
 */
export async function issueLeaf(signer: Signer, { request, subject, ttlMs, nowMs }: IssueOptions): Promise<string> {
  const signerEndMs = signer.certificate.notAfter.getTime();
  if (signerEndMs <= nowMs) {
    throw new WeftError('WEFT_CA_SIGNER', `the signing certificate expired on ${signer.certificate.notAfter.toISOString()}`, {
      remedy: 'renew the signing certificate and start the control plane again',
    });
  }
  const names = namesOf(subject);
  const [first] = names;
  const commonName =
    request.hasCommonName && first !== undefined && first.value.length <= COMMON_NAME_CHARS_MAX ? first.value : null;
  const leaf = await X509CertificateGenerator.create({
    subject: commonName === null ? [] : [{ CN: [commonName] }],
    issuer: signer.certificate.subjectName,
    publicKey: request.publicKey,
    signingKey: signer.privateKey,
    signingAlgorithm: signer.signingAlgorithm,
    notBefore: new Date(nowMs - CERTIFICATE.backdateMs),
    notAfter: new Date(Math.min(nowMs + ttlMs, signerEndMs)),
    extensions: [
      // Critical, because the subject may be empty (RFC 5280, 4.2.1.6).
      new SubjectAlternativeNameExtension(names, true),
      new BasicConstraintsExtension(false, undefined, true),
      new KeyUsagesExtension(KeyUsageFlags.digitalSignature | KeyUsageFlags.keyEncipherment, true),
      new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth, ExtendedKeyUsage.clientAuth]),
      await SubjectKeyIdentifierExtension.create(request.publicKey),
      await AuthorityKeyIdentifierExtension.create(signer.certificate.publicKey),
    ],
  });
  return `${leaf.toString('pem')}\n`;
}

/** The reply to a certificate request: leaf, intermediates one each, and all roots as the last element (C18). */
export function replyChain(signer: Signer, leafPem: string): string[] {
  return [leafPem, ...signer.intermediatesPem, signer.rootsPem.join('')];
}

function namesOf(subject: CertificateSubject): { type: 'url' | 'dns' | 'ip'; value: string }[] {
  if (subject.kind === 'workload') return [{ type: 'url', value: formatIdentity(subject.identity) }];
  return [
    ...subject.dnsNames.map((value) => ({ type: 'dns' as const, value })),
    ...subject.ips.map((value) => ({ type: 'ip' as const, value })),
  ];
}
