import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import { type ExternalVerdict, type HeaderEdit, isFinalStatus, PLAIN_ALLOW } from '#model/authorizer/verdict.ts';
import {
  HeaderValueOption_AppendAction as Append,
  CheckRequestSchema,
  CheckResponseSchema,
  type HeaderValueOption,
} from '#proto/external_authorization_pb.js';

/** The method of Envoy's service. */
export const CHECK_PATH = '/envoy.service.auth.v3.Authorization/Check';
/** Of an answer that denies and does not say how. */
const FORBIDDEN = 403;

/** One end of a connection; principal: the SPIFFE URI, '' without identity. */
export type CheckPeer = { readonly address: string; readonly port: number; readonly principal: string; readonly service: string };

/** What an authorizer is shown of a request, or of a connection that has none (`http` null). */
export type CheckFacts = {
  readonly source: CheckPeer;
  readonly destination: CheckPeer;
  readonly startedMs: number;
  readonly http: CheckedRequest | null;
};

/** What of it only a request shows. */
export type CheckedRequest = {
  readonly id: string;
  readonly method: string;
  /** Path and query. */
  readonly target: string;
  readonly authority: string;
  readonly scheme: string;
  readonly protocol: string;
  /** As declared; null: it is not. */
  readonly contentLength: number | null;
  /** Name, value, …; names in lower case. */
  readonly headers: readonly string[];
  /** Null: it is not shown. */
  readonly body: { readonly bytes: Uint8Array; readonly asBytes: boolean } | null;
};

/** A CheckRequest. */
export function encodeCheck(facts: CheckFacts): Uint8Array {
  const { source, destination, startedMs, http } = facts;
  const request = create(CheckRequestSchema, {
    attributes: {
      source: peerOf(source),
      destination: peerOf(destination),
      request: { time: timestampFromMs(startedMs), ...(http && { http: requestOf(http) }) },
    },
  });
  return toBinary(CheckRequestSchema, request);
}

function requestOf(facts: CheckedRequest) {
  const { id, method, target, authority, scheme, protocol, contentLength, body } = facts;
  const text = body === null || body.asBytes ? '' : Buffer.from(body.bytes).toString('utf8');
  return {
    ...{ id, method, path: target, host: authority, scheme, protocol, body: text },
    headers: { ':method': method, ':path': target, ':authority': authority, ':scheme': scheme, ...joined(facts.headers) },
    size: BigInt(contentLength ?? -1),
    rawBody: body?.asBytes === true ? new Uint8Array(body.bytes) : new Uint8Array(),
  };
}

function peerOf({ address, port, principal, service }: CheckPeer): object {
  return { address: { socketAddress: { address, portValue: port } }, principal, service };
}

/** A map has one value for each name. */
function joined(pairs: readonly string[]): Record<string, string> {
  const headers = new Map<string, string>();
  for (let at = 0; at + 1 < pairs.length; at += 2) {
    const [name = '', value = ''] = pairs.slice(at, at + 2);
    const before = headers.get(name);
    headers.set(name, before === undefined ? value : `${before}${name === 'cookie' ? '; ' : ','}${value}`);
  }
  return Object.fromEntries(headers);
}

/** What a CheckResponse says; what is none has decided nothing. */
export function decodeVerdict(message: Uint8Array): ExternalVerdict {
  const response = parsed(message);
  if (response === null) return { kind: 'error', why: 'its answer is no CheckResponse' };
  const { status, httpResponse: answer } = response;
  if (answer.case === 'errorResponse') return { kind: 'error', why: 'it says that it has failed' };
  if ((status?.code ?? 0) === 0) {
    if (answer.case === 'deniedResponse') return { kind: 'error', why: 'its answer allows and denies' };
    if (answer.case !== 'okResponse') return PLAIN_ALLOW;
    const ok = answer.value;
    return {
      kind: 'allow',
      removed: ok.headersToRemove.map((name) => name.toLowerCase()),
      toUpstream: editsOf(ok.headers),
      toClient: editsOf(ok.responseHeadersToAdd),
      removedParams: ok.queryParametersToRemove,
      setParams: ok.queryParametersToSet.map(({ key, value }) => [key, value] as const),
    };
  }
  const denied = answer.case === 'deniedResponse' ? answer.value : null;
  const code = denied?.status?.code ?? FORBIDDEN;
  if (!isFinalStatus(code)) return { kind: 'error', why: `its answer has status ${code}` };
  return { kind: 'deny', status: code, headers: editsOf(denied?.headers ?? []), body: denied?.body ?? '' };
}

function parsed(message: Uint8Array): ReturnType<typeof fromBinary<typeof CheckResponseSchema>> | null {
  try {
    return fromBinary(CheckResponseSchema, message);
  } catch {
    return null; // whatever it is, it allows nothing
  }
}

/** Unless it says otherwise, a header replaces what is there (external_auth.proto), whatever is usual elsewhere. */
function editsOf(options: readonly HeaderValueOption[]): HeaderEdit[] {
  return options.flatMap(({ header, append, appendAction }): HeaderEdit[] => {
    if (header === undefined || header.key === '') return [];
    const value = header.rawValue.length > 0 ? Buffer.from(header.rawValue).toString('latin1') : header.value;
    return [{ name: header.key.toLowerCase(), value, how: howOf(append, appendAction) }];
  });
}

function howOf(append: boolean | undefined, action: Append): HeaderEdit['how'] {
  if (append !== undefined) return append ? 'add' : 'set';
  if (action === Append.ADD_IF_ABSENT) return 'absent';
  return action === Append.OVERWRITE_IF_EXISTS ? 'present' : 'set';
}
