import { createPrivateKey, createPublicKey, X509Certificate } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { decodeJwt } from 'jose';
import type { RootFacts, TokenFacts } from '#model/check/trust.ts';
import { messageOf } from '#model/error.ts';

/** The root certificate in a PEM file; of several the one that ends first. */
export function surveyRoot(path: string): RootFacts {
  try {
    const [first, ...more] = certificatesIn(readFileSync(path, 'utf8'));
    if (first === undefined) return { kind: 'unreadable', path, reason: 'it holds no certificate' };
    const all = [first, ...more];
    const fromMs = Math.max(...all.map(({ validFromDate }) => validFromDate.getTime()));
    const untilMs = Math.min(...all.map(({ validToDate }) => validToDate.getTime()));
    return { kind: 'read', path, fromMs, untilMs, key: null };
  } catch (error) {
    return { kind: 'unreadable', path, reason: messageOf(error) };
  }
}

/** The authority's own root with its key; null where it has made none yet. */
export function surveyAuthority(stateDir: string): RootFacts | null {
  const path = join(stateDir, 'root-cert.pem');
  const keyPath = join(stateDir, 'root-key.pem');
  if (!existsSync(path)) return null;
  const root = surveyRoot(path);
  if (root.kind === 'unreadable') return root;
  if (!existsSync(keyPath)) return { ...root, key: 'missing' };
  try {
    const [certificate] = certificatesIn(readFileSync(path, 'utf8'));
    const text = readFileSync(keyPath, 'utf8');
    const isOwn = certificate?.publicKey.equals(createPublicKey(createPrivateKey(text))) === true;
    return { ...root, key: isOwn ? 'own' : 'other' };
  } catch (error) {
    // Never with what was read: it is a key.
    return { kind: 'unreadable', path: keyPath, reason: codeOf(error) };
  }
}

/** What a token says of itself; it is the control plane that checks it. */
export function surveyToken(path: string): TokenFacts {
  let text: string;
  try {
    text = readFileSync(path, 'utf8').trim();
  } catch (error) {
    return { kind: 'unreadable', path, reason: messageOf(error) };
  }
  if (text === '') return { kind: 'empty', path, reason: 'it is empty' };
  try {
    const { exp = Number.POSITIVE_INFINITY, iat, node } = decodeJwt(text);
    return {
      kind: 'read',
      path,
      node: typeof node === 'string' ? node : null,
      issuedMs: iat === undefined ? null : iat * 1_000,
      untilMs: exp * 1_000,
    };
  } catch {
    return { kind: 'empty', path, reason: 'what it holds is no token' };
  }
}

function certificatesIn(pem: string): X509Certificate[] {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g) ?? [];
  return blocks.map((block) => new X509Certificate(block));
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : 'it is no key';
}
