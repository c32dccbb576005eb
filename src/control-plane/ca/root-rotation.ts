import type { Cancel, Clock } from '#model/effects/clock.ts';
import type { Log } from '#model/effects/log.ts';
import { isNotLeader } from '#model/effects/replica.ts';
import type { StateStore } from '#model/effects/state-store.ts';
import { WeftError } from '#model/error.ts';
import { CERTIFICATE } from '#model/settings/control-planes.ts';
import { nextStepAtMs, type RootRotation, type RotationStep, stepAfter } from '#model/trust/root-rotation.ts';
import { createRoot, crossSign, loadSigner } from '#protocol/ca/signer.ts';
import type { CertificateAuthority } from './authority.ts';
import { type KeptRoots, readRoots, settleRoots, writeRotation } from './kept-roots.ts';

/** What rotates the root of a mesh. */
export type RotationOptions = {
  authority: CertificateAuthority;
  store: StateStore;
  trustDomain: string;
  /** How long each step lasts: the longest life of a certificate, and more. */
  overlapMs: number;
  /** Whether this control plane is the one that writes. */
  leads: () => boolean;
  clock: Clock;
  log: Log;
};

/** How far it is; null: there never was one. nextStepAtMs null: it is over. */
export type RotationState = { step: RotationStep; sinceMs: number; nextStepAtMs: number | null } | null;

/**
 * Replaces the root while the mesh runs. First everybody is told to trust the next root too, which happens with their next certificate;
 * when none is left from before, the next root signs; when no certificate of the former one is left, that is withdrawn.
 * What the store says decides at every step, so that another replica, or the next start, goes on where this one was cut off.
 */
export class RootRotations {
  readonly #options: RotationOptions;
  #rotation: RootRotation | null = null;
  /** One thing at a time. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(options: RotationOptions) {
    this.#options = options;
  }

  state(): RotationState {
    if (this.#rotation === null) return null;
    const { step, sinceMs } = this.#rotation;
    return { step, sinceMs, nextStepAtMs: nextStepAtMs(this.#rotation, this.#options.overlapMs) };
  }

  /** Begins one. Errors: WEFT_CA_ROTATING while another is under way, WEFT_NOT_LEADER, WEFT_STATE_DIR. */
  start(): Promise<void> {
    return this.#inTurn(async () => {
      const { store, trustDomain, clock, log } = this.#options;
      const kept = await this.#read();
      if (kept.rotation !== null && kept.rotation.step !== 'done') {
        throw new WeftError('WEFT_CA_ROTATING', `a rotation of the root is under way: ${kept.rotation.step}`, {
          remedy: 'see weft ca for when it is over, and begin the next one then',
        });
      }
      const nowMs = clock.nowMs();
      const next = await createRoot(trustDomain, nowMs, `Weft root ${new Date(nowMs).toISOString()}`);
      const crossPem = await crossSign(await loadSigner(kept.files, nowMs), next.certificatePem);
      const rotation: RootRotation = {
        ...{ step: 'distributing', sinceMs: nowMs, crossPem },
        ...{ formerPem: kept.files.certificatePem, nextPem: next.certificatePem },
      };
      await writeRotation(store, rotation, next.privateKeyPem);
      log.info({ step: rotation.step }, 'the root is being replaced: from now on everybody is told to trust the next one too');
      await this.#settle();
    });
  }

  /** Takes the next step if it is time, and ends what an earlier one left undone. Errors: as of `start`. */
  advance(): Promise<void> {
    return this.#inTurn(async () => {
      const { store, clock, log, overlapMs, leads } = this.#options;
      if (!leads()) return;
      const { rotation } = await this.#read();
      if (rotation === null) return;
      const step = stepAfter(rotation.step);
      const dueMs = nextStepAtMs(rotation, overlapMs);
      if (step !== null && dueMs !== null && clock.nowMs() >= dueMs) {
        await writeRotation(store, { ...rotation, step, sinceMs: clock.nowMs() }, null);
        log.info({ step }, step === 'signing' ? 'the next root signs from now on' : 'the former root is withdrawn');
      }
      await this.#settle();
    });
  }

  /** Takes what the store says: another replica has written it. */
  follow(): Promise<void> {
    return this.#inTurn(async () => this.#use(await this.#read()));
  }

  /** Advances again and again until it is cancelled. */
  run(): Cancel {
    const { clock, log, overlapMs } = this.#options;
    return clock.every(Math.min(CERTIFICATE.rootLookMs, overlapMs / 4), () => {
      this.advance().catch((error: unknown) => {
        if (!isNotLeader(error)) log.error({ err: error }, 'the rotation of the root does not go on');
      });
    });
  }

  async #settle(): Promise<void> {
    const kept = await this.#read();
    await this.#use(kept);
    await settleRoots(this.#options.store, kept);
  }

  async #read(): Promise<KeptRoots> {
    const kept = await readRoots(this.#options.store);
    if (kept !== null) return kept;
    throw new WeftError('WEFT_CA_SIGNER', 'the root is no longer in the state', { remedy: 'restore it from a backup' });
  }

  async #use({ files, crossPem, rotation }: KeptRoots): Promise<void> {
    this.#rotation = rotation;
    await this.#options.authority.use(files, crossPem);
  }

  #inTurn(act: () => Promise<void>): Promise<void> {
    const turn = this.#last.then(act);
    this.#last = turn.catch(() => {}); // told to who asked for it
    return turn;
  }
}
