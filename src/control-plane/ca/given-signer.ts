import type { Cancel, Clock } from '#model/effects/clock.ts';
import type { Log } from '#model/effects/log.ts';
import { messageOf } from '#model/error.ts';
import { CERTIFICATE } from '#model/settings/control-planes.ts';
import type { SignerFiles } from '#protocol/ca/signer.ts';
import type { CertificateAuthority } from './authority.ts';

/** Where a signer that was made elsewhere is read. */
export type GivenSigner = () => Promise<SignerFiles>;

/**
 * Looks whether the given signer is another, again and again until it is cancelled: whoever makes it replaces it, and its roots, while the mesh runs.
 * One that cannot be used is told once, and the former one goes on.
 */
export function followGivenSigner(read: GivenSigner, authority: CertificateAuthority, clock: Clock, log: Log): Cancel {
  let told = '';
  let looking = false;
  const look = async () => {
    if (looking) return;
    looking = true;
    try {
      await authority.use(await read(), '');
      told = '';
    } catch (error) {
      const message = messageOf(error);
      if (message !== told) log.error({ err: error }, 'the given signer cannot be used; the former one signs on');
      told = message;
    } finally {
      looking = false;
    }
  };
  return clock.every(CERTIFICATE.rootLookMs, () => {
    look().catch(() => {}); // it has told by itself
  });
}
