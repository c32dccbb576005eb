import { answerDesk, type Desk } from '#control-plane/desk/desk-api.ts';
import type { Subject } from '#control-plane/status/describe.ts';
import { WeftError } from '#model/error.ts';
import { CERTIFICATE } from '#model/settings/control-planes.ts';
import type { SharedLogLevel } from '#model/telemetry/log-level.ts';
import { type NodeGrant, tryParseGrant } from '#model/trust/grant.ts';
import type { CaStatus, ControlStatus, TokenRequest, TokenResponse } from '#protocol/api/control.ts';
import { DESCRIBED_KINDS, type Description } from '#protocol/api/describe.ts';
import { answerLogLevel } from '#protocol/api/log-level.ts';
import { type ApiReply, bodyObject, replyTo } from '#protocol/api/reply.ts';

/** What the control plane's local API is able to do. */
export type ControlApi = {
  status(): ControlStatus;
  /** Errors: WEFT_NOTHING_SO_NAMED. */
  describe(subject: Subject): Promise<Description>;
  /** ttlMs null: the default. */
  mintToken(node: string, grant: NodeGrant, ttlMs: number | null): Promise<TokenResponse>;
  /** freeAddresses: other nodes may be given its ranges. */
  revokeTokens(node: string, freeAddresses: boolean): Promise<void>;
  /** Errors of `rotate`: WEFT_CA_ROTATING, WEFT_CA_GIVEN, WEFT_NOT_LEADER. */
  ca: { status(): CaStatus; rotate(): Promise<CaStatus> };
  stopWaypoints(): Promise<void>;
  /** Where resources are handed in and asked for. */
  desk: Desk;
  logLevel: SharedLogLevel;
};

const TOKEN_REMEDY =
  'send {"node": "<name>", "identities": ["<namespace>/<service account>"], "addresses": ["<range>"], "waypoints": false}';
/** A node's name becomes part of a token and, encoded, of a file's name in the state directory. */
const NODE_NAME = /^[A-Za-z0-9._-]{1,253}$/;

/** Answers one request of the local API; paths and bodies are in src/protocol/api/control.ts. Never rejects. */
export function answerControlApi(api: ControlApi, method: string, path: string, body: string): Promise<ApiReply> {
  return replyTo(() => act(api, method, path, body));
}

/** What the control plane does and says; undefined: nothing to say. Errors: WEFT_API_PATH, WEFT_API_BODY and those of the API. */
function act(api: ControlApi, method: string, path: string, body: string): unknown {
  const call = `${method} ${path}`;
  const told = answerLogLevel(api.logLevel, call, body) ?? answerDesk(api.desk, call, body);
  if (told !== undefined) return told;
  switch (call) {
    case 'GET /v1/status':
      return api.status();
    case 'POST /v1/describe':
      return api.describe(readSubject(bodyObject(body)));
    case 'POST /v1/tokens': {
      const { node, ttlSeconds, ...grant } = readTokenRequest(body);
      return api.mintToken(node, grant, ttlSeconds === undefined ? null : ttlSeconds * 1_000);
    }
    case 'POST /v1/tokens/revoke':
      return revoke(api, bodyObject(body, TOKEN_REMEDY));
    case 'GET /v1/ca':
      return api.ca.status();
    case 'POST /v1/ca/rotate':
      return api.ca.rotate();
    case 'POST /v1/waypoints/stop':
      return api.stopWaypoints();
    default:
      throw new WeftError('WEFT_API_PATH', `the control plane does not answer ${method} ${path}`);
  }
}

function revoke(api: ControlApi, request: Record<string, unknown>): Promise<void> {
  return api.revokeTokens(readNode(request), request.freeAddresses === true);
}

function readTokenRequest(body: string): TokenRequest {
  const request = bodyObject(body, TOKEN_REMEDY);
  const node = readNode(request);
  const grant = tryParseGrant(request);
  if (grant === null)
    throw new WeftError('WEFT_API_BODY', 'what the node may host and announce is missing or malformed', { remedy: TOKEN_REMEDY });
  const { ttlSeconds } = request;
  if (ttlSeconds === undefined) return { node, ...grant };
  if (typeof ttlSeconds !== 'number' || !(ttlSeconds >= 1 && ttlSeconds <= CERTIFICATE.tokenSecondsMax)) {
    throw new WeftError('WEFT_API_BODY', `a token cannot last ${JSON.stringify(ttlSeconds)} s`, {
      remedy: 'send a number of seconds, at most ten years',
    });
  }
  return { node, ...grant, ttlSeconds };
}

function readSubject({ kind, namespace, name }: Record<string, unknown>): Subject {
  const known = DESCRIBED_KINDS.find((one) => one === kind);
  if (known !== undefined && typeof namespace === 'string' && typeof name === 'string') return { kind: known, namespace, name };
  throw new WeftError('WEFT_API_BODY', 'what is to be described is not said', {
    remedy: `send {"kind": "${DESCRIBED_KINDS.join('|')}", "namespace": "<namespace>", "name": "<name>"}`,
  });
}

function readNode({ node }: Record<string, unknown>): string {
  if (typeof node === 'string' && NODE_NAME.test(node)) return node;
  throw new WeftError('WEFT_API_BODY', `${JSON.stringify(node)} is not a node name`, { remedy: TOKEN_REMEDY });
}
