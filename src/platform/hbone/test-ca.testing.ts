import 'reflect-metadata';
import { webcrypto } from 'node:crypto';
import * as x509 from '@peculiar/x509';
import { type Credentials, parseIdentity } from '#model/identity/identity.ts';

const KEY = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
const HOUR_MS = 3_600_000;

x509.cryptoProvider.set(webcrypto);

/** How a certificate is to differ from a good one. */
export type IssueOptions = {
  /** Names of the certificate when they are not just the identity. */
  names?: x509.JsonGeneralName[];
  notBefore?: Date;
  notAfter?: Date;
};

/** A certificate authority for tests: real certificates, made in memory. */
export type TestCa = {
  rootPem: string;
  /** Credentials for a SPIFFE URI. */
  issue(uri: string, options?: IssueOptions): Promise<Credentials>;
  /** A revocation list with the certificates of these, in PEM. */
  revoke(revoked: readonly Credentials[]): Promise<string>;
  /** An intermediate authority; its certificate is part of the chains it issues. */
  intermediate(): Promise<TestCa>;
};

function pem(label: string, der: ArrayBuffer): string {
  const base64 = Buffer.from(der).toString('base64').replaceAll(/.{64}/g, '$&\n');
  return `-----BEGIN ${label}-----\n${base64}\n-----END ${label}-----\n`;
}

function caExtensions(): x509.Extension[] {
  const usage = x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign;
  return [new x509.BasicConstraintsExtension(true, undefined, true), new x509.KeyUsagesExtension(usage, true)];
}

function validity(options: IssueOptions): { notBefore: Date; notAfter: Date } {
  const nowMs = Date.now();
  return { notBefore: options.notBefore ?? new Date(nowMs - HOUR_MS), notAfter: options.notAfter ?? new Date(nowMs + HOUR_MS) };
}

type Issuer = { name: string; keys: webcrypto.CryptoKeyPair; rootPem: string; chainPem: string };

function authority(issuer: Issuer): TestCa {
  return {
    rootPem: issuer.rootPem,
    issue: (uri, options = {}) => issueFrom(issuer, uri, options),
    revoke: async (revoked) => {
      const list = await x509.X509CrlGenerator.create({
        ...{ issuer: issuer.name, signingAlgorithm: KEY, signingKey: issuer.keys.privateKey },
        ...{ thisUpdate: new Date(Date.now() - HOUR_MS), nextUpdate: new Date(Date.now() - HOUR_MS / 2) },
        entries: revoked.map(({ chainPem }) => ({
          serialNumber: new x509.X509Certificate(chainPem.slice(0, chainPem.indexOf('-----END') + 25)).serialNumber,
          revocationDate: new Date(),
        })),
      });
      return pem('X509 CRL', list.rawData);
    },
    intermediate: async () => {
      const keys = await webcrypto.subtle.generateKey(KEY, true, ['sign', 'verify']);
      const certificate = await x509.X509CertificateGenerator.create({
        subject: 'CN=intermediate',
        issuer: issuer.name,
        publicKey: keys.publicKey,
        signingKey: issuer.keys.privateKey,
        signingAlgorithm: KEY,
        extensions: caExtensions(),
        ...validity({}),
      });
      return authority({ name: 'CN=intermediate', keys, rootPem: issuer.rootPem, chainPem: certificate.toString('pem') });
    },
  };
}

async function issueFrom(issuer: Issuer, uri: string, options: IssueOptions): Promise<Credentials> {
  const keys = await webcrypto.subtle.generateKey(KEY, true, ['sign', 'verify']);
  const { notBefore, notAfter } = validity(options);
  const certificate = await x509.X509CertificateGenerator.create({
    issuer: issuer.name,
    publicKey: keys.publicKey,
    signingKey: issuer.keys.privateKey,
    signingAlgorithm: KEY,
    notBefore,
    notAfter,
    extensions: [
      new x509.SubjectAlternativeNameExtension(options.names ?? [{ type: 'url', value: uri }], true),
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth, x509.ExtendedKeyUsage.clientAuth]),
    ],
  });
  return {
    identity: parseIdentity(uri),
    privateKeyPem: pem('PRIVATE KEY', await webcrypto.subtle.exportKey('pkcs8', keys.privateKey)),
    chainPem: `${certificate.toString('pem')}\n${issuer.chainPem}`,
    rootsPem: [issuer.rootPem],
    notBeforeMs: notBefore.getTime(),
    notAfterMs: notAfter.getTime(),
  };
}

/** A fresh self-signed root. */
export async function createTestCa(): Promise<TestCa> {
  const keys = await webcrypto.subtle.generateKey(KEY, true, ['sign', 'verify']);
  const root = await x509.X509CertificateGenerator.createSelfSigned({
    name: 'CN=root',
    keys,
    signingAlgorithm: KEY,
    extensions: caExtensions(),
    ...validity({}),
  });
  return authority({ name: 'CN=root', keys, rootPem: root.toString('pem'), chainPem: '' });
}
