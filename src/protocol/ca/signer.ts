import { CERTIFICATE } from '#model/settings/control-planes.ts';
import 'reflect-metadata';
import { createPrivateKey, type KeyObject, X509Certificate as ParsedCertificate, type webcrypto } from 'node:crypto';
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  SubjectKeyIdentifierExtension,
  X509Certificate,
  X509CertificateGenerator,
} from '@peculiar/x509';
import { WeftError } from '#model/error.ts';
import { EC_P256, generateKey } from '#protocol/ca/accepted-request.ts';
import { splitCertificates } from '#protocol/ca/pem.ts';

/** A certificate and key that sign others. */
export type Signer = {
  certificate: X509Certificate;
  privateKey: webcrypto.CryptoKey;
  signingAlgorithm: { name: string; hash: string };
  /** What clients get between leaf and roots, one certificate each; empty when a root signs. */
  intermediatesPem: readonly string[];
  /** Roots that leaves are verified against: at least one. */
  rootsPem: readonly string[];
};

/** A self-signed EC P-256 root for ten years. `organization` is what people see as its issuer, with `name`. */
export async function createRoot(
  organization: string,
  nowMs: number,
  name = 'Weft root',
): Promise<{ certificatePem: string; privateKeyPem: string }> {
  const { keys, privateKeyPem } = await generateKey();
  const certificate = await X509CertificateGenerator.createSelfSigned({
    name: [{ O: [organization] }, { CN: [name] }],
    keys,
    signingAlgorithm: EC_P256,
    notBefore: new Date(nowMs - CERTIFICATE.rootBackdateMs),
    notAfter: new Date(nowMs + CERTIFICATE.rootLifetimeMs),
    extensions: [
      new BasicConstraintsExtension(true, undefined, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
      await SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return { certificatePem: `${certificate.toString('pem')}\n`, privateKeyPem };
}

/** A root's certificate as `signer` would have issued it: who trusts the signer's root alone is led to that root by it. PEM. */
export async function crossSign(signer: Signer, rootPem: string): Promise<string> {
  const root = new X509Certificate(rootPem);
  const certificate = await X509CertificateGenerator.create({
    subject: root.subjectName,
    issuer: signer.certificate.subjectName,
    publicKey: root.publicKey,
    signingKey: signer.privateKey,
    signingAlgorithm: signer.signingAlgorithm,
    notBefore: root.notBefore,
    notAfter: new Date(Math.min(root.notAfter.getTime(), signer.certificate.notAfter.getTime())),
    extensions: [
      new BasicConstraintsExtension(true, undefined, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
      await SubjectKeyIdentifierExtension.create(root.publicKey),
      await AuthorityKeyIdentifierExtension.create(signer.certificate.publicKey),
    ],
  });
  return `${certificate.toString('pem')}\n`;
}

/** PEM of a signing certificate (its chain may follow), its key, and the roots above it. */
export type SignerFiles = { certificatePem: string; privateKeyPem: string; rootsPem: string };

/** Errors: WEFT_CA_SIGNER when the files do not fit together, the certificate is no authority, or it has expired. */
export async function loadSigner(files: SignerFiles, nowMs: number): Promise<Signer> {
  const chain = splitCertificates(files.certificatePem);
  const rootsPem = splitCertificates(files.rootsPem);
  const [signingPem] = chain;
  if (signingPem === undefined) refuse('there is no certificate in the signing certificate file');
  if (rootsPem.length === 0) refuse('there is no certificate in the root file');
  const parsed = new ParsedCertificate(signingPem);
  const key = readKey(files.privateKeyPem);
  if (!parsed.ca) refuse('the signing certificate is not an authority');
  if (!parsed.checkPrivateKey(key)) refuse('the private key does not belong to the signing certificate');
  if (parsed.validToDate.getTime() <= nowMs) refuse(`the signing certificate expired on ${parsed.validTo}`);
  const roots = rootsPem.map((pem) => new ParsedCertificate(pem));
  const isRoot = roots.some(({ fingerprint256 }) => fingerprint256 === parsed.fingerprint256);
  const top = new ParsedCertificate(chain.at(-1) ?? signingPem);
  const anchored = roots.some(
    (root) => root.fingerprint256 === top.fingerprint256 || (top.checkIssued(root) && top.verify(root.publicKey)),
  );
  if (!anchored) refuse('none of the roots has issued the signing certificate');
  const { importAlgorithm, signingAlgorithm } = algorithmsOf(key);
  const privateKey = await crypto.subtle.importKey(
    'pkcs8',
    key.export({ type: 'pkcs8', format: 'der' }),
    importAlgorithm,
    false,
    ['sign'],
  );
  const rootPrints = new Set(roots.map(({ fingerprint256 }) => fingerprint256));
  return {
    certificate: new X509Certificate(signingPem),
    privateKey,
    signingAlgorithm,
    intermediatesPem: isRoot ? [] : chain.filter((pem) => !rootPrints.has(new ParsedCertificate(pem).fingerprint256)),
    rootsPem,
  };
}

function readKey(privateKeyPem: string): KeyObject {
  try {
    return createPrivateKey(privateKeyPem);
  } catch (error) {
    return refuse('the private key cannot be read', error);
  }
}

const CURVES = new Map([
  ['prime256v1', { namedCurve: 'P-256', hash: 'SHA-256' }],
  ['secp384r1', { namedCurve: 'P-384', hash: 'SHA-384' }],
]);

function algorithmsOf(key: KeyObject): {
  importAlgorithm: { name: string; hash: string; namedCurve?: string };
  signingAlgorithm: { name: string; hash: string };
} {
  if (key.asymmetricKeyType === 'rsa') {
    const algorithm = { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' };
    return { importAlgorithm: algorithm, signingAlgorithm: algorithm };
  }
  const curve = CURVES.get(key.asymmetricKeyDetails?.namedCurve ?? '');
  if (curve === undefined) return refuse(`keys of type ${key.asymmetricKeyType} are not supported`);
  return { importAlgorithm: { name: 'ECDSA', ...curve }, signingAlgorithm: { name: 'ECDSA', hash: curve.hash } };
}

function refuse(reason: string, cause?: unknown): never {
  throw new WeftError('WEFT_CA_SIGNER', `the certificate authority cannot start: ${reason}`, {
    cause,
    remedy: 'give a CA certificate with its EC P-256, P-384 or RSA key, and the root that issued it, all in PEM',
  });
}
