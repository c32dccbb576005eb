import type { Random } from '#model/effects/clock.ts';
import type { Identity } from '#model/identity/identity.ts';
import type { RouteRequest } from '#model/routing/candidate.ts';
import { compileTrafficMatch, type TrafficTest } from '#model/traffic/match.ts';
import type { Fault } from '#model/waypoint/traffic.ts';

/** A fault, ready to inject. */
export type CompiledFault = Pick<Fault, 'delay' | 'abort'> & { readonly matches: TrafficTest };

/** What is done to one request; 0 and null: nothing. */
export type Injected = { readonly delayMs: number; readonly abort: Fault['abort'] };

/** A fault whose pattern cannot be used is left out: nobody waits for one that was not meant for him. */
export function compileFault({ policy, match, delay, abort }: Fault, problem: (why: string) => void): CompiledFault | null {
  const matches = compileTrafficMatch(match, (why) => problem(`TrafficPolicy ${policy}: ${why}`));
  return matches === null ? null : { delay, abort, matches };
}

/** Draws for one request; null: it goes on untouched. */
export function drawFault(
  { delay, abort, matches }: CompiledFault,
  request: RouteRequest,
  client: Identity | null,
  random: Random,
): Injected | null {
  if (!matches(request, client)) return null;
  const delayMs = delay !== null && random() * 100 < delay.percentage ? delay.durationMs : 0;
  const aborted = abort !== null && random() * 100 < abort.percentage ? abort : null;
  return delayMs === 0 && aborted === null ? null : { delayMs, abort: aborted };
}

/** What stands for a gRPC status where a client does not speak gRPC (the table of Google's API errors). */
const HTTP_STATUS = [200, 499, 500, 400, 504, 404, 409, 403, 429, 400, 409, 400, 501, 500, 503, 500, 401];

/** 500 for one that is none. */
export function httpStatusOf(grpcStatus: number): number {
  return HTTP_STATUS[grpcStatus] ?? 500;
}
