import { WAYPOINT } from '#model/settings/waypoints.ts';
import { type Descriptor, isUncounted, type LimitAnswer, PROBE, RATE_LIMIT_DOMAIN } from '#model/traffic/global-limit.ts';
import type { CompiledGlobal } from '#model/traffic/rate-limit.ts';
import { decodeAnswer, encodeQuestion, SHOULD_RATE_LIMIT_PATH } from '#protocol/rate-limit/question.ts';
import type { WaypointEffects } from '#waypoint/self/effects.ts';
import type { CallParts } from '#waypoint/upstream/service-call.ts';
import { callUnary, type UnaryOutcome } from '#waypoint/upstream/unary-call.ts';

/** A question under way; the answer never rejects. */
export type Asking = { readonly answer: Promise<LimitAnswer>; abort(): void };

/** A service that is asked. */
type Place = NonNullable<CompiledGlobal['server']>;

/** What is known of a server, whatever configuration names it. */
type Known = {
  /** Whether it limits what it is asked about; null: not known. */
  limits: boolean | null;
  /** When that was asked last; null: never. */
  probedMs: number | null;
};

const UNCOUNTED = `it lets requests pass without counting them, as one does whose configuration lacks the domain ${RATE_LIMIT_DOMAIN}`;

/**
 * The rate limit services that this waypoint asks (W59). One that lets pass what it does not count would be a limit that is none: whether it
 * does is asked when a configuration names it, and whenever an answer does not show it.
 */
export class LimitServers {
  readonly #parts: CallParts & { readonly effects: Pick<WaypointEffects, 'log'> };
  readonly #servers = new Map<string, Known>();
  /** Whoever is slow to answer must not hold any number of requests. */
  #open = 0;

  constructor(parts: CallParts & { readonly effects: Pick<WaypointEffects, 'log'> }) {
    this.#parts = parts;
  }

  /** Questions under way are bounded: beyond that nobody is asked. */
  ask({ server: place, timeoutMs }: Pick<CompiledGlobal, 'server' | 'timeoutMs'>, descriptors: readonly Descriptor[]): Asking {
    if (place === null) return unasked('no rate limit service is named');
    if (this.#open >= WAYPOINT.limitQuestionsMax)
      return unasked(`${WAYPOINT.limitQuestionsMax} questions to rate limit services are under way`);
    this.#open++;
    const { outcome, abort } = this.#call(place, timeoutMs, encodeQuestion(descriptors));
    const answer = outcome.then((unary) => this.#judged(answerOf(unary), place, descriptors.length));
    return { answer: answer.finally(() => this.#open--), abort };
  }

  /** A configuration names it: whether it limits is known, and told, before requests depend on it. */
  introduce(place: Place, tries: number = WAYPOINT.limitProbesMax): void {
    const { clock } = this.#parts.effects;
    this.#probe(place, (answered) => {
      // The mesh may not be known yet, nor the server be up.
      if (!answered && tries > 1) clock.after(WAYPOINT.limitProbeMs, () => this.introduce(place, tries - 1));
    });
  }

  /** What an answer is worth from a server of which more may be known. */
  #judged(answer: LimitAnswer, place: Place, asked: number): LimitAnswer {
    if (answer.kind === 'error' || !isUncounted(answer, asked)) return answer;
    // It need not tell what it counted by; that it counts at all must be known then.
    this.#probe(place);
    return this.#known(place).limits === true ? answer : { kind: 'error', why: UNCOUNTED };
  }

  /** At most one in each period, however many answers give cause; `then` hears of none that was left out. */
  #probe(place: Place, then: (answered: boolean) => void = () => {}): void {
    const { clock, mishaps } = this.#parts.effects;
    const known = this.#known(place);
    const nowMs = clock.monotonicMs();
    if (known.probedMs !== null && nowMs < known.probedMs + WAYPOINT.limitProbeMs) return;
    known.probedMs = nowMs;
    const message = encodeQuestion([PROBE.descriptor], PROBE.hits);
    const { outcome } = this.#call(place, WAYPOINT.limitProbeMs, message);
    outcome
      .then((unary) => {
        const answer = answerOf(unary);
        if (answer.kind === 'answered') this.#learn(place, known, !isUncounted(answer, 1) || answer.over);
        then(answer.kind === 'answered');
      })
      .catch((error: unknown) => mishaps.report('request', error));
  }

  /** Told once, and again when it is otherwise. */
  #learn({ service, port }: Place, known: Known, limits: boolean): void {
    const { log } = this.#parts.effects;
    const fields = { address: `${service}:${port}` };
    if (!limits && known.limits !== false)
      log.error(
        { ...fields, code: 'WEFT_RATE_LIMIT_DOMAIN' },
        `the rate limit service limits nothing: ${UNCOUNTED}; give it a configuration with "domain: ${RATE_LIMIT_DOMAIN}", which may say nothing else`,
      );
    else if (limits && known.limits === false) log.info(fields, 'the rate limit service limits what it is asked about');
    known.limits = limits;
  }

  /** By its place, so that a change of a policy does not begin anew; the oldest is forgotten when there is no place left. */
  #known({ service, port }: Place): Known {
    const name = `${service}:${port}`;
    const known = this.#servers.get(name);
    if (known !== undefined) return known;
    const [oldest] = this.#servers.keys();
    if (this.#servers.size >= WAYPOINT.limitServersMax && oldest !== undefined) this.#servers.delete(oldest);
    const made: Known = { limits: null, probedMs: null };
    this.#servers.set(name, made);
    return made;
  }

  /** Over the waypoint's own connections: whom a request is from is in the descriptors. */
  #call({ service, port }: Place, timeoutMs: number, message: Uint8Array): ReturnType<typeof callUnary> {
    const answerBytesMax = WAYPOINT.limitAnswerBytesMax;
    return callUnary({ service, port, path: SHOULD_RATE_LIMIT_PATH, message, timeoutMs, answerBytesMax }, this.#parts);
  }
}

/** Nobody is asked, so nobody has decided. */
function unasked(why: string): Asking {
  return { answer: Promise.resolve({ kind: 'error', why }), abort: () => {} };
}

/** A call that failed has told nothing of a limit. */
function answerOf(unary: UnaryOutcome): LimitAnswer {
  return unary.kind === 'failed' ? { kind: 'error', why: unary.why } : decodeAnswer(unary.message);
}
