import { WeftError } from '#model/error.ts';
import { callSocket } from '#platform/local-api/call-socket.ts';
import { serveLocalSocket } from '#platform/local-api/serve-socket.ts';
import { type ApiReply, replyTo } from '#protocol/api/reply.ts';

/** Stopping and starting the slowest part. */
const RESTART_WAIT_MS = 60_000;

/** How a part is stopped before it is started again. */
export type StopSignal = 'SIGTERM' | 'SIGKILL';

/**
 * The API of a running lab, which owns the processes of its parts: `POST /v1/restart/PART[?kill]`, 204 when the part
 * works again. One call at a time: a part that is being started cannot be stopped. Returns how to end it.
 */
export function serveLab(
  socketPath: string,
  restart: (part: string, signal: StopSignal) => Promise<void>,
): Promise<() => Promise<void>> {
  let last: Promise<unknown> = Promise.resolve();
  return serveLocalSocket(socketPath, (method, path) => {
    const reply = last.then(() => answerCall(method, path, restart));
    last = reply;
    return reply;
  });
}

function answerCall(
  method: string,
  path: string,
  restart: (part: string, signal: StopSignal) => Promise<void>,
): Promise<ApiReply> {
  return replyTo(async () => {
    const [, part, kill] = /^\/v1\/restart\/([a-z]+)(\?kill)?$/.exec(path) ?? [];
    if (method !== 'POST' || part === undefined) throw new WeftError('WEFT_API_PATH', `a lab has no ${method} ${path}`);
    await restart(part, kill === undefined ? 'SIGTERM' : 'SIGKILL');
  });
}

/** Asks a running lab to restart a part; returns when it works again. Errors: WEFT_LAB_NOT_UP, and those of the start. */
export async function askRestart(socketPath: string, part: string, signal: StopSignal): Promise<void> {
  const absent = { code: 'WEFT_LAB_NOT_UP', what: 'the lab', remedy: 'see whether it is ending: weft lab status' };
  const path = `/v1/restart/${part}${signal === 'SIGKILL' ? '?kill' : ''}`;
  await callSocket({ socketPath, method: 'POST', path, timeoutMs: RESTART_WAIT_MS, absent });
}
