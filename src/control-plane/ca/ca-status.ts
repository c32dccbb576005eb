import { X509Certificate } from 'node:crypto';
import { WeftError } from '#model/error.ts';
import type { CaStatus } from '#protocol/api/control.ts';
import { splitCertificates } from '#protocol/ca/pem.ts';
import type { CertificateAuthority } from './authority.ts';
import type { RootRotations } from './root-rotation.ts';

/** What `weft ca` tells. `rotations` null: the signer is given. */
export function caStatus(authority: CertificateAuthority, rotations: RootRotations | null): CaStatus {
  const state = rotations?.state() ?? null;
  const isoOf = (ms: number | null | undefined) => (typeof ms === 'number' ? new Date(ms).toISOString() : null);
  return {
    signer: rotations === null ? 'given' : 'own',
    rotation: state === null || state.nextStepAtMs === null ? null : state.step,
    since: isoOf(state?.sinceMs),
    nextStepAt: isoOf(state?.nextStepAtMs),
    roots: splitCertificates(authority.rootsPem).map((pem) => {
      const { fingerprint256, subject, validToDate } = new X509Certificate(pem);
      return { fingerprint: fingerprint256, subject: subject.replaceAll('\n', ', '), expiresAt: validToDate.toISOString() };
    }),
  };
}

/** Begins a rotation. Errors: WEFT_CA_GIVEN when the signer is given; those of `RootRotations.start`. */
export async function rotateRoot(authority: CertificateAuthority, rotations: RootRotations | null): Promise<CaStatus> {
  if (rotations === null) {
    throw new WeftError('WEFT_CA_GIVEN', 'the signer of this mesh is given with --ca-dir, and so are its roots', {
      remedy:
        'put both roots into root-cert.pem of that directory; after a day replace the other files; after another day take the former root out',
    });
  }
  await rotations.start();
  return caStatus(authority, rotations);
}
