import { WeftError } from '#model/error.ts';
import { CERTIFICATE } from '#model/settings/control-planes.ts';
import type { ControlStatus, TokenRequest, TokenResponse } from '#protocol/api/control.ts';
import { type ApiReply, bodyObject, replyTo } from '#protocol/api/reply.ts';

/** What the control plane's local API is able to do. */
export type ControlApi = {
  status(): ControlStatus;
  /** ttlMs null: the default. */
  mintToken(node: string, ttlMs: number | null): Promise<TokenResponse>;
  stopWaypoints(): Promise<void>;
};

const TOKEN_REMEDY = 'send {"node": "<name>"}';
/** A node's name becomes part of a token and, encoded, of a file's name in the state directory. */
const NODE_NAME = /^[A-Za-z0-9._-]{1,253}$/;

/** Answers one request of the local API; paths and bodies are in src/protocol/api/control.ts. Never rejects. */
export function answerControlApi(api: ControlApi, method: string, path: string, body: string): Promise<ApiReply> {
  return replyTo(() => act(api, method, path, body));
}

/** What the control plane does and says; undefined: nothing to say. Errors: WEFT_API_PATH, WEFT_API_BODY and those of the API. */
function act(api: ControlApi, method: string, path: string, body: string): unknown {
  switch (`${method} ${path}`) {
    case 'GET /v1/status':
      return api.status();
    case 'POST /v1/tokens': {
      const { node, ttlSeconds } = readTokenRequest(body);
      return api.mintToken(node, ttlSeconds === undefined ? null : ttlSeconds * 1_000);
    }
    case 'POST /v1/waypoints/stop':
      return api.stopWaypoints();
    default:
      throw new WeftError('WEFT_API_PATH', `the control plane does not answer ${method} ${path}`);
  }
}

function readTokenRequest(body: string): TokenRequest {
  const { node, ttlSeconds } = bodyObject(body, TOKEN_REMEDY);
  if (typeof node !== 'string' || !NODE_NAME.test(node)) {
    throw new WeftError('WEFT_API_BODY', `${JSON.stringify(node)} is not a node name`, { remedy: TOKEN_REMEDY });
  }
  if (ttlSeconds === undefined) return { node };
  if (typeof ttlSeconds !== 'number' || !(ttlSeconds >= 1 && ttlSeconds <= CERTIFICATE.tokenSecondsMax)) {
    throw new WeftError('WEFT_API_BODY', `a token cannot last ${JSON.stringify(ttlSeconds)} s`, {
      remedy: 'send a number of seconds, at most ten years',
    });
  }
  return { node, ttlSeconds };
}
