import type { ExternalVerdict } from '#model/authorizer/verdict.ts';
import { WAYPOINT } from '#model/settings/waypoints.ts';
import type { ExternalAuthorizer } from '#model/waypoint/authorizer.ts';
import { CHECK_PATH, type CheckFacts, decodeVerdict, encodeCheck } from '#protocol/authorizer/check.ts';
import type { CallParts } from './service-call.ts';
import { callUnary } from './unary-call.ts';

/** A question to an authorizer under way; the verdict never rejects. */
export type Asking = { readonly verdict: Promise<ExternalVerdict>; abort(): void };

/** Questions under way are bounded: whoever is slow to answer must not hold any number of those who wait. Beyond that nobody is asked. */
export class OpenQuestions {
  #open = 0;

  ask(begin: () => Asking): Asking {
    if (this.#open >= WAYPOINT.checksMax) {
      const why = `${WAYPOINT.checksMax} questions to authorizers are under way`;
      return { verdict: Promise.resolve({ kind: 'error', why }), abort: () => {} };
    }
    this.#open++;
    const { verdict, abort } = begin();
    return { verdict: verdict.finally(() => this.#open--), abort };
  }
}

/** All that is known of a request or a connection as one message (`envoy.service.auth.v3`). */
export function askByGrpc({ service, port, timeoutMs }: ExternalAuthorizer, facts: CheckFacts, parts: CallParts): Asking {
  const call = { service, port, path: CHECK_PATH, message: encodeCheck(facts), timeoutMs };
  const { outcome, abort } = callUnary({ ...call, answerBytesMax: WAYPOINT.checkAnswerBytesMax }, parts);
  const verdict = outcome.then(
    (answer): ExternalVerdict => (answer.kind === 'failed' ? { kind: 'error', why: answer.why } : decodeVerdict(answer.message)),
  );
  return { verdict, abort };
}
