import type { Mishaps } from '#model/effects/mishaps.ts';
import { messageOf } from '#model/error.ts';
import type { Identity } from '#model/identity/identity.ts';
import type { Touched } from '#model/mesh/mesh-state.ts';
import { NO_PATH } from '#model/telemetry/access-record.ts';
import { Refusal } from '#model/telemetry/close-cause.ts';
import type { Enrolled } from '#node-agent/enrollment/enrollment.ts';
import type { Verdicts } from '#node-agent/kernel/verdicts.ts';
import { type DataLink, type Question, refusalData, type ToControl } from '#node-agent/seam/messages.ts';
import { type Grounds, type Judged, refused, touches, unknownWorkload } from './answers.ts';
import { judgePlaintext, judgeTunnel } from './arrivals.ts';
import type { CarriedConnections } from './carried-connections.ts';
import { type JudgeView, judgeOutbound } from './outbound.ts';

/** What a judge needs beside the view of its decisions. */
export type JudgeOptions = JudgeView & {
  readonly carried: CarriedConnections;
  readonly verdicts: Pick<Verdicts, 'remember'>;
  readonly mishaps: Mishaps;
  /** Whether the whole mesh is known. */
  isSynced(): boolean;
  /** The first answer of `look` that is not null, asked again after each change of the mesh; null after the deadline. */
  known<T>(look: () => T | null): Promise<T | null>;
};

/** An answer that somebody goes by, or may. */
type Given = { readonly grounds: Grounds; isKept: boolean; readonly endings: readonly (() => void)[] };

/**
 * Answers those that carry, one implementation for all of them, and remembers which answer each has: so that a change takes
 * back exactly those that it touches, and cuts what goes by one that is denied now. An answer is made, remembered and sent
 * without an await: whatever changes after it is sent after it.
 */
export class Judge {
  readonly #options: JudgeOptions;
  readonly #askers = new Map<DataLink, Map<number, Given>>();
  #lastAnswer = 0;

  constructor(options: JudgeOptions) {
    this.#options = options;
  }

  /** Answers, at once where everything is known that it takes; else what is waited for comes within bounds, or is missing. */
  ask(link: DataLink, { question, about }: Extract<ToControl, { kind: 'ask' }>): void {
    this.#conclude(link, question, about).catch((error: unknown) => {
      this.#options.mishaps.report('accept', error);
      this.#send(link, question, refused(this.#sourceOf(about), NO_PATH, new Refusal('other', messageOf(error))));
    });
  }

  /** No connection goes by these any more. */
  release(link: DataLink, answers: readonly number[]): void {
    const given = this.#askers.get(link);
    for (const answer of answers) {
      for (const end of given?.get(answer)?.endings ?? []) end();
      given?.delete(answer);
    }
  }

  /** A change: no new connection goes by an answer that it touches; null: by none that was given before. */
  drop(touched: Touched | null): void {
    for (const [link, given] of this.#askers) {
      const answers: number[] = [];
      for (const [answer, one] of given) {
        if (!one.isKept || (touched !== null && !touches(touched, one.grounds))) continue;
        one.isKept = false;
        answers.push(answer);
      }
      if (answers.length > 0) link.send({ kind: 'drop', answers: touched === null ? null : answers });
    }
  }

  async #conclude(link: DataLink, question: number, about: Question): Promise<void> {
    const now = this.#judge(about);
    if (now.isSettled) return this.#give(link, question, now);
    await this.#options.known(() => (this.#judge(about).isSettled ? true : null));
    this.#give(link, question, this.#judge(about)); // by what is known now: more may have changed since it was released
  }

  #judge(about: Question): Judged {
    const { enrollment, records, isSynced } = this.#options;
    const enrolled = enrollment.byId(about.enrolment);
    // It may have ended while it was waited for something.
    if (enrolled === null)
      return refused(this.#sourceOf(about), NO_PATH, new Refusal('workload-left', 'the workload left the mesh'));
    const known = isSynced() ? records.of(enrolled) : null;
    switch (about.kind) {
      case 'outbound':
        if (known !== null) return judgeOutbound(this.#options, about, enrolled, known);
        // Without a record there is no identity to evaluate and no locality to choose by; without the mesh an unknown address
        // could be a workload, so nothing passes as plain text.
        return refused(this.#sourceOf(about), { ...NO_PATH, end: about.dialled }, unknown(isSynced()), false);
      case 'tunnel':
        return judgeTunnel(this.#options, about, enrolled, known);
      case 'plaintext':
        return judgePlaintext(this.#options, about, enrolled, known);
      default:
        return about satisfies never;
    }
  }

  /** Lets the kernel remember, and answers. */
  #give(link: DataLink, question: number, judged: Judged): void {
    // What the kernel decides alone from now on comes here again only when it has forgotten that: then it is to be told again.
    let keeps = judged.keeps && judged.isSettled;
    for (const { source, destination, port, isDirect } of judged.pairs)
      if (this.#options.verdicts.remember(source, destination, port) && isDirect) keeps = false;
    this.#send(link, question, { ...judged, keeps });
  }

  #send(link: DataLink, question: number, { answer: content, rights, grounds, keeps }: Judged): void {
    const answer = ++this.#lastAnswer;
    const { carried } = this.#options;
    const endings = rights.flatMap((right, choice) => {
      if (right === null) return [];
      let isRevoked = false;
      const abort = (why: Refusal): void => {
        if (isRevoked) return;
        isRevoked = true;
        link.send({ kind: 'revoke', answer, choice, refusal: refusalData(why) });
      };
      return [right.kind === 'arriving' ? carried.add({ ...right, abort }) : carried.addOutgoing({ ...right, abort })];
    });
    const given = this.#askers.get(link) ?? new Map<number, Given>();
    this.#askers.set(link, given);
    given.set(answer, { grounds, isKept: keeps, endings });
    link.send({ kind: 'answer', question, answer, content, keeps });
  }

  #sourceOf({ kind, enrolment }: Question): { workload: null; identity: Identity | null } {
    const enrolled: Enrolled | null = kind === 'outbound' ? this.#options.enrollment.byId(enrolment) : null;
    return { workload: null, identity: enrolled?.identity ?? null };
  }
}

function unknown(isSynced: boolean): Refusal {
  if (!isSynced) return new Refusal('unknown-mesh', 'the mesh is not known yet: no answer from the control plane');
  return unknownWorkload();
}
