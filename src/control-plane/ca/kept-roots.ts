import { createPrivateKey, X509Certificate } from 'node:crypto';
import type { StateStore } from '#model/effects/state-store.ts';
import { WeftError } from '#model/error.ts';
import { parseRotation, type RootRotation, trustedRoots } from '#model/trust/root-rotation.ts';
import { splitCertificates } from '#protocol/ca/pem.ts';
import type { SignerFiles } from '#protocol/ca/signer.ts';

/** The root that signs, then the other one that is trusted, if there is one. */
const ROOT_NAME = 'root-cert.pem';
const ROOT_KEY_NAME = 'root-key.pem';
/** Of a root that does not sign yet. */
const NEXT_KEY_NAME = 'next-root-key.pem';
/** A rotation, until the next one. What it says decides; the other files follow it. */
const ROTATION_NAME = 'root-rotation.json';

/** What every replica needs of the state, unless it is given a signer. */
export const ROOT_NAMES: readonly string[] = [ROOT_NAME, ROOT_KEY_NAME];

/** Whether what is kept of roots may have changed with these. */
export function concernsRoots(names: Iterable<string>): boolean {
  const own = new Set([ROOT_NAME, ROOT_KEY_NAME, NEXT_KEY_NAME, ROTATION_NAME]);
  return [...names].some((name) => own.has(name));
}

/** What signs now, and the rotation that it is part of. `crossPem`: '' without one. */
export type KeptRoots = { files: SignerFiles; crossPem: string; rotation: RootRotation | null };

/** The roots in the store; null: there are none yet. Errors: WEFT_CA_SIGNER when they are not whole, WEFT_STATE_DIR. */
export async function readRoots(store: StateStore): Promise<KeptRoots | null> {
  const names = [ROTATION_NAME, ROOT_NAME, ROOT_KEY_NAME, NEXT_KEY_NAME];
  const [told, certificatePem, ...keys] = await Promise.all(names.map((name) => store.read(name)));
  const rotation = typeof told === 'string' ? parseRotation(ROTATION_NAME, told) : null;
  if (rotation !== null) {
    const [signing = '', ...others] = trustedRoots(rotation);
    return { files: filesOf(signing, others, keys), crossPem: crossIn(rotation), rotation };
  }
  // The key is written first, so a key alone is a first start that did not finish.
  if (typeof certificatePem !== 'string') return null;
  const [signing = '', ...others] = splitCertificates(certificatePem);
  return { files: filesOf(signing, others, keys), crossPem: '', rotation: null };
}

/** The first root of a mesh. */
export async function writeFirstRoot(store: StateStore, { certificatePem, privateKeyPem }: SignerFiles): Promise<void> {
  await store.write(ROOT_KEY_NAME, privateKeyPem, { secret: true });
  await store.write(ROOT_NAME, certificatePem, { secret: false });
}

/**
 * Puts a step of a rotation in force: it is kept once ROTATION_NAME is written, and whoever is cut off before or after that finds all
 * it needs. `nextKeyPem`: of the next root, with the first step.
 */
export async function writeRotation(store: StateStore, rotation: RootRotation, nextKeyPem: string | null): Promise<void> {
  if (nextKeyPem !== null) await store.write(NEXT_KEY_NAME, nextKeyPem, { secret: true });
  await store.write(ROTATION_NAME, JSON.stringify(rotation), { secret: false });
}

/** Brings the files that people and tools read to what the rotation says, and forgets a key that signs nothing any more. */
export async function settleRoots(store: StateStore, { files, rotation }: KeptRoots): Promise<void> {
  if (rotation === null) return;
  const bundle = trustedRoots(rotation).join('');
  if ((await store.read(ROOT_NAME)) !== bundle) await store.write(ROOT_NAME, bundle, { secret: false });
  if (rotation.step === 'distributing') return;
  if ((await store.read(ROOT_KEY_NAME)) !== files.privateKeyPem)
    await store.write(ROOT_KEY_NAME, files.privateKeyPem, { secret: true });
  // Last: until the key is in its place this is the only one there is of it.
  if ((await store.read(NEXT_KEY_NAME)) !== null) await store.remove(NEXT_KEY_NAME);
}

function crossIn({ step, crossPem }: RootRotation): string {
  return step === 'distributing' ? '' : crossPem;
}

/** With the key that is the signing root's, wherever it lies: a rotation may have been cut off while it was moved. */
function filesOf(signing: string, others: readonly string[], keys: readonly (string | null | undefined)[]): SignerFiles {
  const held = keys.filter((key) => typeof key === 'string');
  const privateKeyPem = held.find((key) => isKeyOf(signing, key)) ?? held[0];
  if (privateKeyPem === undefined) {
    // A new root in its place would cut off every agent that trusts the old one, without a word.
    throw new WeftError('WEFT_CA_SIGNER', `${ROOT_NAME} is in the state directory, but its key ${ROOT_KEY_NAME} is not`, {
      remedy: 'restore the key from a backup; or remove the certificate too, and give every agent the new root and a new token',
    });
  }
  return { certificatePem: signing, privateKeyPem, rootsPem: [signing, ...others].join('') };
}

function isKeyOf(certificatePem: string, keyPem: string): boolean {
  try {
    return new X509Certificate(certificatePem).checkPrivateKey(createPrivateKey(keyPem));
  } catch {
    return false; // whoever loads the signer says what is wrong with it
  }
}
