import { WeftError } from '#model/error.ts';

/**
 * `distributing`: the former root signs, and everybody is told to trust both. `signing`: the next one signs, and both are trusted.
 * `done`: the former one is withdrawn.
 */
export type RotationStep = 'distributing' | 'signing' | 'done';

/** A root that takes the place of another; all texts are PEM. */
export type RootRotation = {
  step: RotationStep;
  /** When the step began. */
  sinceMs: number;
  formerPem: string;
  nextPem: string;
  /** The next root signed by the former: who was given the former one in a file, and nobody has replaced it, reaches the next by it. */
  crossPem: string;
};

/** Roots in force: that which signs first. */
export function trustedRoots({ step, formerPem, nextPem }: RootRotation): readonly string[] {
  if (step === 'done') return [nextPem];
  return step === 'signing' ? [nextPem, formerPem] : [formerPem, nextPem];
}

/** The step after this one; null: there is none. */
export function stepAfter(step: RotationStep): RotationStep | null {
  if (step === 'done') return null;
  return step === 'distributing' ? 'signing' : 'done';
}

/** When the next step may be taken; null: the rotation is over. By then whatever was issued before this one has ended. */
export function nextStepAtMs({ step, sinceMs }: RootRotation, overlapMs: number): number | null {
  return stepAfter(step) === null ? null : sinceMs + overlapMs;
}

/** What is kept of a rotation. Errors: WEFT_CA_SIGNER for a text that is none: nobody may guess which root is trusted. */
export function parseRotation(name: string, text: string): RootRotation {
  try {
    const { step, sinceMs, ...pems } = JSON.parse(text) as Record<string, unknown>;
    const { formerPem, nextPem, crossPem } = pems;
    if (step !== 'distributing' && step !== 'signing' && step !== 'done') throw new Error('it names no step');
    if (typeof sinceMs !== 'number' || !Number.isFinite(sinceMs)) throw new Error('it does not say since when');
    if (typeof formerPem !== 'string' || typeof nextPem !== 'string' || typeof crossPem !== 'string')
      throw new Error('a certificate is missing');
    return { step, sinceMs, formerPem, nextPem, crossPem };
  } catch (cause) {
    throw new WeftError('WEFT_CA_SIGNER', `${name} in the state cannot be read: which root is trusted is not known`, {
      cause,
      remedy: `restore ${name} from a backup; without one, remove it: the root that root-cert.pem names first is then the only one`,
    });
  }
}
