import { WeftError } from '#model/error.ts';
import { systemError } from '#model/system-error.ts';

/** How a local API tells an error: the fields of a WeftError, which the caller makes into one again. `cause`: the sentences of its causes. */
export type ApiError = { code: string; message: string; cause?: string; remedy?: string };

/** The answer to one call: an HTTP status and the JSON body that goes with it; null: no body. */
export type ApiReply = { status: number; body: unknown };

/** Codes that are the caller's own doing; every other error is a failure of what was asked for: 500. */
const STATUS: Readonly<Record<string, number>> = {
  WEFT_API_PATH: 404,
  WEFT_API_BODY: 400,
  WEFT_WORKLOAD_NAME: 400,
  WEFT_WORKLOAD_EXISTS: 409,
  WEFT_WORKLOAD_REFUSED: 403,
};

/** The answer that tells an error. */
export function errorReply(error: unknown): ApiReply {
  const told = error instanceof WeftError ? error : (systemError(error) ?? new WeftError('WEFT_INTERNAL', textOf(error)));
  const { code, message, remedy } = told;
  const cause = causesOf(told).join(': ');
  const body: ApiError = { code, message, ...(cause === '' ? {} : { cause }), ...(remedy === undefined ? {} : { remedy }) };
  return { status: STATUS[code] ?? 500, body };
}

/** Outermost first. */
function causesOf({ cause }: Error): string[] {
  return cause instanceof Error ? [cause.message, ...causesOf(cause)] : [];
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** The error that an answer tells; `call` names what was asked where the answer does not say what went wrong. */
export function errorOf({ status, body }: ApiReply, call: string): WeftError {
  const fields = isRecord(body) ? body : {};
  const text = (key: keyof ApiError): string | undefined => {
    const value = fields[key];
    return typeof value === 'string' ? value : undefined;
  };
  const [remedy, cause] = [text('remedy'), text('cause')];
  return new WeftError(text('code') ?? 'WEFT_ANSWER', text('message') ?? `${call} was answered ${status}`, {
    ...(cause === undefined ? {} : { cause: new Error(cause) }),
    ...(remedy === undefined ? {} : { remedy }),
  });
}

/** Answers a call by what `answer` returns (undefined: 204 without a body) or throws. Never rejects. */
export async function replyTo(answer: () => unknown): Promise<ApiReply> {
  try {
    const body = await answer();
    return body === undefined ? { status: 204, body: null } : { status: 200, body };
  } catch (error) {
    return errorReply(error);
  }
}

/** The object in a request's body. Errors: WEFT_API_BODY, with `remedy` if one is given. */
export function bodyObject(body: string, remedy?: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(body);
  } catch (cause) {
    throw new WeftError('WEFT_API_BODY', 'the request body is not JSON', { cause, ...(remedy === undefined ? {} : { remedy }) });
  }
  if (isRecord(value)) return value;
  throw new WeftError('WEFT_API_BODY', 'the request body is not an object', remedy === undefined ? {} : { remedy });
}

/** Whether a value is an object with keys, rather than a list or nothing. */
export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
