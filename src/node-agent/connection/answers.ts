import { pickWeighted } from '#model/balancing/endpoints.ts';
import type { Cancel, Clock, Random } from '#model/effects/clock.ts';
import type { Cut } from '#model/effects/cut.ts';
import { Roster, type Rostered } from '#model/effects/roster.ts';
import { formatIdentity } from '#model/identity/identity.ts';
import { AGENT } from '#model/settings/agents.ts';
import { NO_PATH, type RecordEnd } from '#model/telemetry/access-record.ts';
import { Refusal } from '#model/telemetry/close-cause.ts';
import {
  type Answer,
  type Choice,
  type ControlLink,
  type Question,
  type RefusalData,
  refusalData,
  refusalFrom,
  type ToData,
} from '#node-agent/seam/messages.ts';

/**
 * What one connection goes by: to be given back when it is over. From the beginning a revocation cuts it. `choice` was drawn from
 * `choices`; `dropped` is called when a new connection would not go by this answer any more.
 */
export type Granted = Answer & { readonly choice: Choice; onDropped(dropped: () => void): void; release(): void };

type Holder = Rostered & { readonly cut: Cut; readonly choice: number; dropped: () => void };
const nothing = (): void => {};

/** An answer that was given. */
type Given = {
  readonly id: number;
  readonly key: string;
  readonly content: Answer;
  isKept: boolean;
  readonly holders: Roster<Holder>;
};

type Waiter = { readonly cut: Cut; grant(granted: Granted): void };
type Pending = { readonly key: string; readonly waiters: Waiter[]; readonly cancel: Cancel };

/** What answers need of the outside. */
export type AnswersOptions = { readonly control: ControlLink; readonly clock: Clock; readonly random: Random };

/**
 * What one that carries knows: answers to what was asked, each until it is dropped, and the connections that go by it. What is
 * not known is asked, once for all that ask the same; without an answer in time the connection is refused.
 */
export class Answers {
  readonly #options: AnswersOptions;
  /** By what was asked; the oldest first. */
  readonly #kept = new Map<string, Given>();
  /** By number: those that are kept, and those that are not and by which a connection goes. */
  readonly #given = new Map<number, Given>();
  readonly #pending = new Map<number, Pending>();
  readonly #asking = new Map<string, number>();
  #lastQuestion = 0;
  /** What was answered from `#kept` last: connections come in bursts that ask the same, and a comparison costs less than a key. */
  #last: { readonly question: Question; readonly given: Given } | null = null;
  #waiting = 0;
  /** Connections to workloads of this node. */
  carried = 0;

  constructor(options: AnswersOptions) {
    this.#options = options;
  }

  /** What a connection goes by; without a promise when it is known. What it may no longer go by aborts `cut`. */
  ask(question: Question, cut: Cut): Granted | Promise<Granted> {
    const last = this.#last;
    if (last?.given.isKept === true && asksTheSame(last.question, question)) return this.#grant(last.given, cut);
    const key = keyOf(question);
    const known = this.#kept.get(key);
    if (known !== undefined) {
      this.#last = { question, given: known };
      return this.#grant(known, cut);
    }
    // Too many: refused at once rather than later, so that a flood while control is busy cannot fill the memory.
    if (this.#waiting >= AGENT.waitersMax) return unanswered('too many connections wait to be decided');
    this.#waiting++;
    const answer: { granted: Granted | null; resolve: ((granted: Granted) => void) | null } = { granted: null, resolve: null };
    const grant = (granted: Granted): void => {
      this.#waiting--;
      answer.granted = granted;
      answer.resolve?.(granted);
    };
    const asked = this.#pending.get(this.#asking.get(key) ?? 0);
    if (asked === undefined) this.#send(key, question, { cut, grant });
    else asked.waiters.push({ cut, grant });
    // In the thread of whoever knows the answer is here by now.
    return answer.granted ?? new Promise((resolve) => (answer.resolve = resolve));
  }

  /** Takes an answer. */
  answer({ question, answer, content, keeps }: Extract<ToData, { kind: 'answer' }>): void {
    const pending = this.#pending.get(question);
    const given: Given = {
      id: answer,
      key: pending?.key ?? '',
      content,
      isKept: keeps && pending !== undefined,
      holders: new Roster(),
    };
    this.#given.set(answer, given);
    if (given.isKept) this.#keep(given);
    if (pending !== undefined) this.#forget(question, pending);
    // All hold it before any goes on: one that has ended already must not take it from the others.
    const grants = (pending?.waiters ?? []).map(({ cut, grant }) => ({ grant, granted: this.#grant(given, cut) }));
    for (const { grant, granted } of grants) grant(granted);
    this.#releaseUnused([given]);
  }

  /** No new connection goes by these; null: by none. */
  drop(answers: readonly number[] | null): void {
    const dropped = answers === null ? [...this.#kept.values()] : answers.flatMap((id) => this.#given.get(id) ?? []);
    for (const given of dropped) this.#unkeep(given);
    this.#releaseUnused(dropped);
  }

  /** Cuts what goes by them. */
  revoke({ answer, choice, refusal }: Extract<ToData, { kind: 'revoke' }>): void {
    const given = this.#given.get(answer);
    if (given === undefined) return; // given back meanwhile
    this.#unkeep(given);
    for (const holder of given.holders.all()) if (holder.choice === choice) holder.cut.abort(refusalFrom(refusal));
    this.#releaseUnused([given]);
  }

  #send(key: string, about: Question, first: Waiter): void {
    const question = ++this.#lastQuestion;
    const { clock, control } = this.#options;
    const pending: Pending = {
      key,
      waiters: [first],
      cancel: clock.after(AGENT.answerDeadlineMs, () => {
        this.#forget(question, pending);
        for (const { grant } of pending.waiters) grant(unanswered('the agent is too busy to decide'));
      }),
    };
    this.#pending.set(question, pending);
    this.#asking.set(key, question);
    control.send({ kind: 'ask', question, about });
  }

  #forget(question: number, pending: Pending): void {
    pending.cancel();
    this.#pending.delete(question);
    if (this.#asking.get(pending.key) === question) this.#asking.delete(pending.key);
  }

  #grant(given: Given, cut: Cut): Granted {
    const { source, choices } = given.content;
    const choice = choices.length === 1 ? choices[0] : pickWeighted(choices, this.#options.random);
    if (choice === undefined || choice === null) return unanswered('an answer without a way');
    const holder: Holder = { cut, choice: choices.indexOf(choice), dropped: nothing, place: -1 };
    given.holders.add(holder);
    const toApp = choice.way.kind === 'app' ? 1 : 0;
    this.carried += toApp;
    return {
      source,
      choices,
      choice,
      onDropped: (dropped) => {
        holder.dropped = dropped;
      },
      release: () => {
        if (holder.place < 0) return;
        given.holders.delete(holder);
        this.carried -= toApp;
        this.#releaseUnused([given]);
      },
    };
  }

  #keep(given: Given): void {
    const former = this.#kept.get(given.key);
    this.#kept.set(given.key, given);
    const dropped = former === undefined ? [] : [former];
    if (this.#kept.size > AGENT.answersMax) {
      const [oldest] = this.#kept.values();
      if (oldest !== undefined) dropped.push(oldest);
    }
    for (const one of dropped) this.#unkeep(one);
    this.#releaseUnused(dropped);
  }

  #unkeep(given: Given): void {
    if (this.#kept.get(given.key) === given) this.#kept.delete(given.key);
    if (!given.isKept) return;
    given.isKept = false;
    if (this.#last?.given === given) this.#last = null;
    for (const { dropped } of given.holders.all()) dropped();
  }

  /** Tells that nothing goes by them any more, and nothing will. */
  #releaseUnused(some: readonly Given[]): void {
    const answers: number[] = [];
    for (const given of some)
      if (!given.isKept && given.holders.size === 0 && this.#given.delete(given.id)) answers.push(given.id);
    if (answers.length > 0) this.#options.control.send({ kind: 'release', answers });
  }
}

function unanswered(why: string): Granted {
  const refusal: RefusalData = refusalData(new Refusal('unknown-mesh', why));
  const choice: Choice = { weight: 1, way: { kind: 'refused', refusal }, path: NO_PATH, dryRun: [], endpoint: null };
  return { source: { workload: null, identity: null }, choices: [choice], choice, onDropped: nothing, release: nothing };
}

/** Whether the keys of two questions are the same: false is no proof that they are not. */
function asksTheSame(a: Question, b: Question): boolean {
  if (a.enrolment !== b.enrolment) return false;
  if (a.kind === 'outbound') {
    if (b.kind !== 'outbound' || a.tried.length > 0 || b.tried.length > 0) return false;
    return a.client === b.client && isSameEnd(a.dialled, b.dialled) && isSameEnd(a.chosen, b.chosen);
  }
  if (a.kind !== 'tunnel' || b.kind !== 'tunnel') return false;
  return a.peer === b.peer && a.remote === b.remote && a.local === b.local && a.authority === b.authority && a.host === b.host;
}

function isSameEnd(a: RecordEnd | null, b: RecordEnd | null): boolean {
  return a === b || (a !== null && b !== null && a.ip === b.ip && a.port === b.port);
}

/** Equal for questions that ask the same, and only for those. */
function keyOf(question: Question): string {
  const { kind, enrolment } = question;
  switch (kind) {
    case 'outbound': {
      const { client, dialled, chosen, tried } = question;
      const backend = chosen === null ? '' : `${chosen.ip} ${chosen.port}`;
      const key = `o ${enrolment} ${client} ${dialled.ip} ${dialled.port} ${backend}`;
      return tried.length === 0 ? key : `${key} ${JSON.stringify(tried)}`;
    }
    case 'tunnel': {
      const { peer, remote, local, authority, host } = question;
      return `t ${enrolment} ${formatIdentity(peer)} ${remote} ${local} ${JSON.stringify([authority, host])}`;
    }
    case 'plaintext': {
      const { client, clientPort, target, attested } = question;
      const opened =
        attested.kind === 'opened'
          ? `${attested.sourceId} ${attested.dialled.ip} ${attested.dialled.port} ${attested.vip}`
          : attested.kind;
      return `p ${enrolment} ${client} ${clientPort} ${target.ip} ${target.port} ${opened}`;
    }
  }
}
