import { request } from 'node:http';
import { WeftError } from '#model/error.ts';
import { COMMAND } from '#model/settings/host.ts';
import { errorOf } from '#protocol/api/reply.ts';

/** One call of a JSON API on a unix socket. */
export type SocketCall = {
  socketPath: string;
  method: 'GET' | 'POST' | 'DELETE';
  path: string;
  /** Sent as JSON; undefined: no body. */
  body?: unknown;
  /** How long the answer may take. */
  timeoutMs: number;
  /** The error when nobody answers on the socket. */
  absent: Absence;
};

/** How it is told that nobody answers. */
export type Absence = { code: string; what: string; remedy: string };

/**
 * The parsed body of a 2xx answer; undefined when it is empty.
 * Errors: WEFT_NOT_ROOT when the socket may not be opened, that of `absent` when nobody answers on it,
 * WEFT_ANSWER when the answer is no JSON, and the code that a refusal carries.
 */
export async function callSocket(call: SocketCall): Promise<unknown> {
  const { status, text } = await exchange(call);
  const body = text === '' ? undefined : parse(text, call);
  if (status >= 200 && status < 300) return body;
  throw errorOf({ status, body }, `${call.method} ${call.path}`);
}

function exchange({ socketPath, method, path, body, timeoutMs, absent }: SocketCall): Promise<{ status: number; text: string }> {
  const payload = body === undefined ? null : JSON.stringify(body);
  const headers = payload === null ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(payload) };
  return new Promise((resolve, reject) => {
    const signal = AbortSignal.timeout(timeoutMs);
    const fail = (error: Error) =>
      reject(unreachable(socketPath, absent, signal.aborted ? `no answer within ${timeoutMs / 1000} s` : error));
    const asked = request({ socketPath, method, path, headers, signal }, (answer) => {
      const parts: Buffer[] = [];
      let bytes = 0;
      answer.on('data', (part: Buffer) => {
        bytes += part.length;
        if (bytes > COMMAND.answerBytesMax)
          answer.destroy(new Error(`the answer is larger than ${COMMAND.answerBytesMax} bytes`));
        else parts.push(part);
      });
      answer.on('error', fail);
      answer.on('end', () => resolve({ status: answer.statusCode ?? 0, text: Buffer.concat(parts).toString() }));
    });
    asked.on('error', fail);
    asked.end(payload ?? undefined);
  });
}

function unreachable(socketPath: string, { code, what, remedy }: Absence, cause: Error | string): WeftError {
  const reason = cause instanceof Error && 'code' in cause ? cause.code : '';
  if (reason === 'EACCES' || reason === 'EPERM') {
    return new WeftError('WEFT_NOT_ROOT', `you may not open ${socketPath}`, { cause, remedy: 'run the same command with sudo' });
  }
  return new WeftError(code, `${what} does not answer on ${socketPath}`, { cause, remedy });
}

function parse(text: string, { socketPath, path }: SocketCall): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new WeftError('WEFT_ANSWER', `what answers ${path} on ${socketPath} is not Weft`, {
      cause,
      remedy: 'see which program listens there: ss -xlp',
    });
  }
}
