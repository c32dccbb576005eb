import type { UpstreamProblem } from '#protocol/http/message.ts';
import { type LocalReply, reply } from '#waypoint/local-reply.ts';
import type { ResponseFlag } from '#waypoint/response-flags.ts';

const BODY = 'upstream connect error or disconnect/reset before headers. reset reason: ';

/** The words clients know from Envoy; the cause itself goes to the log only (W77). */
const ANSWERS: Readonly<Record<UpstreamProblem['kind'], { status: number; reason: string; flag: ResponseFlag }>> = {
  'connect-failure': { status: 503, reason: 'remote connection failure', flag: 'UF' },
  'connect-timeout': { status: 503, reason: 'connection timeout', flag: 'UF' },
  closed: { status: 503, reason: 'connection termination', flag: 'UC' },
  'remote-reset': { status: 503, reason: 'remote reset', flag: 'UR' },
  'local-reset': { status: 503, reason: 'local reset', flag: 'LR' },
  'protocol-error': { status: 502, reason: 'protocol error', flag: 'UPE' },
  'head-too-large': { status: 503, reason: 'response headers too large', flag: 'UPE' },
};

/** The answer to a request whose upstream failed before it responded (waypoint-l7 section 4). */
export function replyFor(problem: UpstreamProblem): LocalReply {
  const { status, reason, flag } = ANSWERS[problem.kind];
  const details = `upstream_reset_before_response_started{${reason}|${problem.details}}`.replaceAll(' ', '_');
  return reply(status, BODY + reason, flag, details);
}
