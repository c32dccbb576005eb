import { WeftError } from '#model/error.ts';
import { CERTIFICATE } from '#model/settings/control-planes.ts';
import type { ApiError } from '#protocol/api/agent.ts';
import type { ControlStatus, TokenRequest, TokenResponse } from '#protocol/api/control.ts';

/** What the control plane's local API is able to do. */
export type ControlApi = {
  status(): ControlStatus;
  /** ttlMs null: the default. */
  mintToken(node: string, ttlMs: number | null): Promise<TokenResponse>;
  stopWaypoints(): Promise<void>;
};

/** An HTTP status and the JSON body that goes with it; null: no body. */
export type ApiAnswer = { status: number; body: unknown };

const NODE_NAME = /^[A-Za-z0-9._-]{1,253}$/;

/** Answers one request of the local API; paths and bodies are in src/protocol/api/control.ts. Never throws. */
export async function answerControlApi(api: ControlApi, method: string, path: string, body: string): Promise<ApiAnswer> {
  try {
    switch (`${method} ${path}`) {
      case 'GET /v1/status':
        return { status: 200, body: api.status() };
      case 'POST /v1/tokens': {
        const { node, ttlSeconds } = readTokenRequest(body);
        return { status: 200, body: await api.mintToken(node, ttlSeconds === undefined ? null : ttlSeconds * 1_000) };
      }
      case 'POST /v1/waypoints/stop':
        await api.stopWaypoints();
        return { status: 204, body: null };
      default:
        return refusal(404, new WeftError('WEFT_API_PATH', `the control plane does not answer ${method} ${path}`));
    }
  } catch (error) {
    return error instanceof WeftError ? refusal(400, error) : refusal(500, new WeftError('WEFT_INTERNAL', String(error)));
  }
}

function readTokenRequest(body: string): TokenRequest {
  const { node, ttlSeconds } = parseObject(body);
  if (typeof node !== 'string' || !NODE_NAME.test(node)) {
    throw new WeftError('WEFT_API_BODY', `${JSON.stringify(node)} is not a node name`, { remedy: 'send {"node": "<name>"}' });
  }
  if (ttlSeconds === undefined) return { node };
  if (typeof ttlSeconds !== 'number' || !(ttlSeconds >= 1 && ttlSeconds <= CERTIFICATE.tokenSecondsMax)) {
    throw new WeftError('WEFT_API_BODY', `a token cannot last ${JSON.stringify(ttlSeconds)} s`, {
      remedy: 'send a number of seconds, at most ten years',
    });
  }
  return { node, ttlSeconds };
}

function parseObject(body: string): Record<string, unknown> {
  try {
    const parsed: unknown = JSON.parse(body);
    if (typeof parsed === 'object' && parsed !== null) return { ...parsed };
  } catch {
    // Told below, as for any other text that is no object.
  }
  throw new WeftError('WEFT_API_BODY', 'the request is not a JSON object', { remedy: 'send {"node": "<name>"}' });
}

function refusal(status: number, { code, message, remedy }: WeftError): ApiAnswer {
  const body: ApiError = { code, message, ...(remedy === undefined ? {} : { remedy }) };
  return { status, body };
}
