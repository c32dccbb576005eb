import { CertificateAuthority } from '#control-plane/ca/authority.ts';
import { followGivenSigner, type GivenSigner } from '#control-plane/ca/given-signer.ts';
import { RootRotations } from '#control-plane/ca/root-rotation.ts';
import type { Cancel, Clock } from '#model/effects/clock.ts';
import type { Log } from '#model/effects/log.ts';
import type { Replica } from '#model/effects/replica.ts';
import type { StateStore } from '#model/effects/state-store.ts';

/** Who signs, and what replaces it. */
export type OpenedRoots = {
  authority: CertificateAuthority;
  /** null: the signer is given. */
  rotations: RootRotations | null;
  /** Takes further steps, or another given signer, until it is cancelled. */
  run(): Cancel;
};

/** What roots are opened with. `signer` null: a root of our own. */
export type RootParts = {
  signer: GivenSigner | null;
  state: StateStore;
  replica: Replica;
  trustDomain: string;
  overlapMs: number;
  clock: Clock;
  log: Log;
};

/** Opens the authority, and ends what an earlier rotation left undone. Errors: WEFT_CA_SIGNER, WEFT_STATE_DIR. */
export async function openRoots({ signer, state: store, replica, ...shared }: RootParts): Promise<OpenedRoots> {
  const { clock, log } = shared;
  if (signer !== null) {
    const authority = await CertificateAuthority.open({ ...shared, store, given: await signer() });
    return { authority, rotations: null, run: () => followGivenSigner(signer, authority, clock, log) };
  }
  const authority = await CertificateAuthority.open({ ...shared, store, given: null });
  const rotations = new RootRotations({ ...shared, authority, store, leads: () => replica.leads() });
  authority.followRoots = () => rotations.follow();
  await rotations.advance();
  await rotations.follow();
  return { authority, rotations, run: () => rotations.run() };
}
