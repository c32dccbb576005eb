import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { generateKeyPairSync, X509Certificate } from 'node:crypto';
import test from 'node:test';
import 'reflect-metadata';
import { Pkcs10CertificateRequest } from '@peculiar/x509';
import { formatIdentity, parseIdentity } from '#model/identity/identity.ts';
import { readSigningRequest } from './accepted-request.ts';
import { issueLeaf, replyChain } from './issue.ts';
import { splitCertificates } from './pem.ts';
import { credentialsFromReply } from './received-chain.ts';
import { createRoot, loadSigner, type Signer } from './signer.ts';
import { createSigningRequest } from './signing-request.ts';

const NOW = Date.parse('2026-03-01T12:00:00Z');
const HOUR_MS = 3_600_000;
const ratings = parseIdentity('spiffe://cluster.local/ns/shop/sa/ratings');
const reviews = parseIdentity('spiffe://cluster.local/ns/shop/sa/reviews');

async function rootSigner(): Promise<Signer> {
  const { certificatePem, privateKeyPem } = await createRoot('cluster.local', NOW);
  return loadSigner({ certificatePem, privateKeyPem, rootsPem: certificatePem }, NOW);
}
const signer = await rootSigner();
const asked = await createSigningRequest(ratings);

async function leafFor(
  changes: { ttlMs?: number; nowMs?: number; signer?: Signer; csrPem?: string; identity?: typeof ratings } = {},
) {
  const request = await readSigningRequest(changes.csrPem ?? asked.csrPem);
  return issueLeaf(changes.signer ?? signer, {
    request,
    subject: { kind: 'workload', identity: changes.identity ?? ratings },
    ttlMs: changes.ttlMs ?? 24 * HOUR_MS,
    nowMs: changes.nowMs ?? NOW,
  });
}

test('B57: the CSR is EC P-256 with an empty subject and one critical URI SAN', () => {
  const csr = new Pkcs10CertificateRequest(asked.csrPem);
  assert.equal(csr.subject, '');
  assert.deepEqual(
    [csr.publicKey.algorithm.name, 'namedCurve' in csr.publicKey.algorithm && csr.publicKey.algorithm.namedCurve],
    ['ECDSA', 'P-256'],
  );
  const [san] = csr.extensions;
  assert.deepEqual([csr.extensions.length, san?.type, san?.critical], [1, '2.5.29.17', true]);
  assert.ok(Buffer.from(san?.value ?? new ArrayBuffer()).includes('spiffe://cluster.local/ns/shop/sa/ratings'));
});

test('openssl reads the same in the CSR, also with an identity whose length takes three bytes', async () => {
  const long = { ...ratings, serviceAccount: 'a'.repeat(200) };
  for (const [identity, { csrPem }] of [[ratings, asked] as const, [long, await createSigningRequest(long)] as const]) {
    const { stdout, stderr } = spawnSync('openssl', ['req', '-verify', '-noout', '-text'], { input: csrPem, encoding: 'utf8' });
    assert.match(stdout + stderr, /verify OK/);
    assert.match(stdout, /Subject: *\n[\s\S]*NIST CURVE: P-256[\s\S]*Subject Alternative Name: critical\n/);
    assert.ok(stdout.includes(`URI:${formatIdentity(identity)}\n`), stdout);
    assert.equal((await leafFor({ csrPem })).length > 0, true);
  }
});

test('a CSR that its own key did not sign is refused', async () => {
  const der = Buffer.from(asked.csrPem.replace(/-----[^-]+-----/g, ''), 'base64');
  der.writeUInt8(der.readUInt8(der.length - 1) ^ 1, der.length - 1);
  const forged = `-----BEGIN CERTIFICATE REQUEST-----\n${der.toString('base64')}\n-----END CERTIFICATE REQUEST-----`;
  await assert.rejects(readSigningRequest(forged), { code: 'WEFT_CSR' });
  await assert.rejects(readSigningRequest('nonsense'), { code: 'WEFT_CSR' });
});

test('the leaf has an empty subject, is for TLS servers and clients, and no authority', async () => {
  const leaf = new X509Certificate(await leafFor());
  assert.equal(leaf.subject, undefined);
  assert.equal(leaf.ca, false);
  assert.deepEqual(leaf.keyUsage, ['1.3.6.1.5.5.7.3.1', '1.3.6.1.5.5.7.3.2']);
  assert.equal(leaf.subjectAltName, 'URI:spiffe://cluster.local/ns/shop/sa/ratings');
});

test('C20: the SAN is the authorized identity, whatever the CSR asks for', async () => {
  const leaf = new X509Certificate(await leafFor({ identity: reviews }));
  assert.equal(leaf.subjectAltName, 'URI:spiffe://cluster.local/ns/shop/sa/reviews');
});

test('C21: validity runs from two minutes ago for the time asked', async () => {
  const leaf = new X509Certificate(await leafFor({ ttlMs: HOUR_MS }));
  assert.deepEqual([leaf.validFromDate.getTime(), leaf.validToDate.getTime()], [NOW - 120_000, NOW + HOUR_MS]);
});

test('C21: no leaf outlives its signer, and an expired signer signs nothing', async () => {
  const endMs = signer.certificate.notAfter.getTime();
  const leaf = new X509Certificate(await leafFor({ nowMs: endMs - HOUR_MS }));
  assert.equal(leaf.validToDate.getTime(), endMs);
  await assert.rejects(leafFor({ nowMs: endMs }), { code: 'WEFT_CA_SIGNER' });
});

test('a server certificate names hosts and addresses', async () => {
  const request = await readSigningRequest(asked.csrPem);
  const subject = {
    kind: 'server' as const,
    dnsNames: ['weft.example', 'istiod.istio-system.svc'],
    ips: ['127.0.0.1', 'fd00::1'],
  };
  const leaf = new X509Certificate(await issueLeaf(signer, { request, subject, ttlMs: HOUR_MS, nowMs: NOW }));
  assert.ok(leaf.checkHost('istiod.istio-system.svc') !== undefined && leaf.checkIP('fd00::1') !== undefined);
});

test('the root is an authority for ten years', () => {
  const root = new X509Certificate(signer.rootsPem[0] ?? '');
  assert.ok(root.ca && root.checkIssued(root) && root.verify(root.publicKey));
  assert.ok(root.validToDate.getTime() - NOW > 3_649 * 24 * HOUR_MS);
});

test('C18: a root replies with leaf and roots', async () => {
  const chain = replyChain(signer, await leafFor());
  assert.equal(chain.length, 2);
  assert.ok(chain.every((element) => element.endsWith('-----\n')));
});

/** An intermediate below the root, and a second root beside it. */
async function intermediateSigner(): Promise<{ signer: Signer; rootsPem: string }> {
  const { X509CertificateGenerator, BasicConstraintsExtension } = await import('@peculiar/x509');
  const keys = await crypto.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-384' }, true, ['sign', 'verify']);
  const certificate = await X509CertificateGenerator.create({
    subject: 'CN=intermediate',
    issuer: signer.certificate.subjectName,
    publicKey: keys.publicKey,
    signingKey: signer.privateKey,
    signingAlgorithm: signer.signingAlgorithm,
    notBefore: new Date(NOW - HOUR_MS),
    notAfter: new Date(NOW + 1_000 * HOUR_MS),
    extensions: [new BasicConstraintsExtension(true, 0, true)],
  });
  const pkcs8 = Buffer.from(await crypto.subtle.exportKey('pkcs8', keys.privateKey)).toString('base64');
  const privateKeyPem = `-----BEGIN PRIVATE KEY-----\n${pkcs8}\n-----END PRIVATE KEY-----\n`;
  const rootsPem = `${signer.rootsPem.join('')}${(await createRoot('second', NOW)).certificatePem}`;
  return { signer: await loadSigner({ certificatePem: certificate.toString('pem'), privateKeyPem, rootsPem }, NOW), rootsPem };
}

test('C18: an intermediate replies with leaf, itself, and both roots in the last element, and that is accepted', async () => {
  const { signer: intermediate, rootsPem } = await intermediateSigner();
  const chain = replyChain(intermediate, await leafFor({ signer: intermediate }));
  assert.deepEqual([chain.length, chain.map((element) => splitCertificates(element).length)], [3, [1, 1, 2]]);
  assert.equal(chain[2], rootsPem.replace(/\n*$/, '\n'));
  const credentials = credentialsFromReply({ identity: ratings, privateKeyPem: asked.privateKeyPem, chain, nowMs: NOW });
  assert.deepEqual([splitCertificates(credentials.chainPem).length, credentials.rootsPem.length], [2, 2]);
  assert.equal(credentials.notAfterMs, NOW + 24 * HOUR_MS);
});

test('B57: a reply for another identity, another key, another root, of one element or expired is refused', async () => {
  const chain = replyChain(signer, await leafFor());
  const reply = { identity: ratings, privateKeyPem: asked.privateKeyPem, chain, nowMs: NOW };
  assert.equal(credentialsFromReply(reply).identity, ratings);
  const otherRoot = (await createRoot('other', NOW)).certificatePem;
  const otherKey = (await createSigningRequest(ratings)).privateKeyPem;
  const bad: [string, Partial<typeof reply>][] = [
    ['is for "URI:spiffe://cluster.local/ns/shop/sa/ratings"', { identity: reviews }],
    ['is for another key', { privateKeyPem: otherKey }],
    ['does not lead to one of the roots', { chain: [chain[0] ?? '', otherRoot] }],
    ['a leaf and a root are needed', { chain: chain.slice(0, 1) }],
    ['a leaf and a root are needed', { chain: [] }],
    ['expired', { nowMs: NOW + 25 * HOUR_MS }],
  ];
  for (const [says, changes] of bad) {
    assert.throws(
      () => credentialsFromReply({ ...reply, ...changes }),
      { code: 'WEFT_CA_REPLY', message: new RegExp(says) },
      says,
    );
  }
});

test('a signer whose files do not fit together is refused with the reason', async () => {
  const root = await createRoot('one', NOW);
  const second = await createRoot('two', NOW);
  const leafPem = await leafFor();
  const rsa = generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
  const files = { certificatePem: root.certificatePem, privateKeyPem: root.privateKeyPem, rootsPem: root.certificatePem };
  const bad: [RegExp, Partial<typeof files>][] = [
    [/no certificate in the signing/, { certificatePem: 'x' }],
    [/no certificate in the root/, { rootsPem: '' }],
    [/does not belong/, { privateKeyPem: second.privateKeyPem }],
    [/does not belong/, { privateKeyPem: rsa }],
    [/cannot be read/, { privateKeyPem: 'x' }],
    [/not an authority/, { certificatePem: leafPem, privateKeyPem: asked.privateKeyPem }],
    [/none of the roots/, { rootsPem: second.certificatePem }],
  ];
  for (const [message, changes] of bad) {
    await assert.rejects(loadSigner({ ...files, ...changes }, NOW), { code: 'WEFT_CA_SIGNER', message }, message.source);
  }
  await assert.rejects(loadSigner(files, NOW + 4_000 * 24 * HOUR_MS), { code: 'WEFT_CA_SIGNER', message: /expired/ });
});
