import type { Clock } from '#model/effects/clock.ts';
import { guard, type Mishaps } from '#model/effects/mishaps.ts';
import type { AttemptDecision } from '#model/resilience/attempts.ts';
import type { ResponseHead, UpstreamProblem } from '#protocol/http/message.ts';
import { Attempt } from '#waypoint/exchange/attempt.ts';
import type { Carrier } from '#waypoint/exchange/carrier.ts';
import type { Exchange } from '#waypoint/exchange/exchange.ts';
import type { Flow } from '#waypoint/exchange/flow.ts';
import type { Stage, StageResult } from '#waypoint/exchange/stage.ts';

type TryAgain = Extract<AttemptDecision, { kind: 'try-again' }>;
type Hook = Exclude<keyof Stage, 'name'>;
type StageWith<H extends Hook> = Stage & Required<Pick<Stage, H>>;

/**
 * Runs the fixed list of stages for each exchange: every `request`, then every `attempt` for each try. Without an
 * asynchronous stage nothing here allocates but the try itself.
 */
export class Pipeline implements Flow<Carrier> {
  readonly #mishaps: Mishaps;
  readonly #clock: Clock;
  // By hook, so that a request does not visit the stages that have nothing to say.
  readonly #requests: readonly StageWith<'request'>[];
  readonly #attempts: readonly StageWith<'attempt'>[];
  readonly #attemptFailures: readonly StageWith<'attemptFailed'>[];
  readonly #answers: readonly StageWith<'attemptAnswered'>[];
  readonly #attemptEnds: readonly StageWith<'attemptEnd'>[];
  readonly #requestEnds: readonly StageWith<'requestEnded'>[];
  /** Last stage first. */
  readonly #responses: readonly StageWith<'response'>[];
  readonly #ends: readonly StageWith<'end'>[];
  readonly #sents: readonly StageWith<'sent'>[];

  /** `stages` in the order in which a request meets them. */
  constructor(stages: readonly Stage[], mishaps: Mishaps, clock: Clock) {
    this.#mishaps = mishaps;
    this.#clock = clock;
    this.#requests = having(stages, 'request');
    this.#attempts = having(stages, 'attempt');
    this.#attemptFailures = having(stages, 'attemptFailed');
    this.#answers = having(stages, 'attemptAnswered');
    this.#attemptEnds = having(stages, 'attemptEnd');
    this.#requestEnds = having(stages, 'requestEnded');
    this.#responses = having(stages, 'response').reverse();
    this.#ends = having(stages, 'end');
    this.#sents = having(stages, 'sent');
  }

  run(exchange: Exchange, carrier: Carrier): void {
    this.#runFrom(0, exchange, carrier);
  }

  tryAgain(exchange: Exchange, carrier: Carrier, problem: UpstreamProblem): boolean {
    const failed = exchange.attempt;
    if (failed === null) return false;
    failed.outcome = problem;
    for (const stage of this.#attemptFailures) {
      const decision = stage.attemptFailed(exchange, failed, problem, carrier);
      if (decision.kind === 'give-up') continue;
      this.#follow(failed, decision, exchange, carrier);
      return true;
    }
    return false;
  }

  answered(exchange: Exchange, carrier: Carrier, head: ResponseHead): boolean {
    const { attempt } = exchange;
    if (attempt === null) return false;
    for (const stage of this.#answers) {
      const decision = stage.attemptAnswered(exchange, attempt, head, carrier);
      if (decision.kind === 'give-up') continue;
      attempt.outcome = 'responded';
      carrier.abandon();
      this.#follow(attempt, decision, exchange, carrier);
      return true;
    }
    return false;
  }

  requestEnded(exchange: Exchange, carrier: Carrier): void {
    for (const stage of this.#requestEnds) stage.requestEnded(exchange, carrier);
  }

  response(exchange: Exchange, head: ResponseHead, local: boolean): void {
    // Outcomes are for whoever judges endpoints; an answer of ours says nothing of one.
    if (!local && exchange.attempt !== null) exchange.attempt.outcome = 'responded';
    for (const stage of this.#responses) stage.response(exchange, head, local);
  }

  end(exchange: Exchange, carrier: Carrier): void {
    exchange.attempt?.cancelTimer?.();
    if (exchange.attempt !== null) this.#endAttempt(exchange, exchange.attempt);
    for (const stage of this.#ends) stage.end(exchange, carrier);
  }

  sent(exchange: Exchange): void {
    for (const stage of this.#sents) stage.sent(exchange);
  }

  #runFrom(first: number, exchange: Exchange, carrier: Carrier): void {
    for (let at = first; at < this.#requests.length && !exchange.over; at++) {
      const result = this.#requests[at]?.request(exchange, carrier);
      if (result === undefined) continue;
      // Only what waits pays for a promise: most requests pass all stages within one turn.
      if (result instanceof Promise) {
        this.#wait(result, at, exchange, carrier);
        return;
      }
      if (settles(result, carrier)) return;
    }
    if (!exchange.over) this.#try(new Attempt(null, null, false), exchange, carrier);
  }

  /** The next try, after the pause that was decided. */
  #follow(before: Attempt, decision: TryAgain, exchange: Exchange, carrier: Carrier): void {
    // The endpoint's load goes down before another is chosen, or it would count against itself.
    before.cancelTimer?.();
    this.#endAttempt(exchange, before);
    const endpoint = decision.endpoint === 'same' ? before.endpoint : null;
    const next = new Attempt(before, endpoint, decision.freshConnection);
    const { pauseMs } = decision;
    if (pauseMs === 0) {
      this.#try(next, exchange, carrier);
      return;
    }
    exchange.attempt = next;
    next.cancelTimer = this.#clock.after(pauseMs, () =>
      guard(
        this.#mishaps,
        'request',
        () => this.#try(next, exchange, carrier),
        () => carrier.giveUp(),
      ),
    );
  }

  #try(attempt: Attempt, exchange: Exchange, carrier: Carrier): void {
    exchange.attempt = attempt;
    for (const stage of this.#attempts) if (settles(stage.attempt(exchange, attempt, carrier), carrier)) return;
  }

  #endAttempt(exchange: Exchange, attempt: Attempt): void {
    for (const stage of this.#attemptEnds) stage.attemptEnd(exchange, attempt);
  }

  #wait(pending: Promise<StageResult>, at: number, exchange: Exchange, carrier: Carrier): void {
    pending
      .then((result) => {
        if (!exchange.over && !settles(result, carrier)) this.#runFrom(at + 1, exchange, carrier);
      })
      // A stage that throws has decided nothing: letting the request pass could skip a policy.
      .catch((error: unknown) => {
        this.#mishaps.report('request', error);
        carrier.giveUp();
      });
  }
}

function having<H extends Hook>(stages: readonly Stage[], hook: H): StageWith<H>[] {
  return stages.filter((stage): stage is StageWith<H> => stage[hook] !== undefined);
}

/** Whether the request needs no further stage. */
function settles(result: StageResult, carrier: Carrier): boolean {
  if (result.kind === 'reply') carrier.reply(result.reply);
  return result.kind !== 'next';
}
