import { DEFAULT_PATH_NORMALIZATION, type PathNormalization } from '#model/waypoint/config.ts';
import { HEADER } from '#protocol/http/header-names.ts';
import type { ProtocolProblem, RequestHead } from '#protocol/http/message.ts';
import { isAuthority, normalizeTarget, splitAbsoluteTarget } from '#protocol/http/target.ts';
import { type HopFacts, takeHopHeaders } from './connection-header.ts';
import { CHUNKED, type DeclaredFraming, type Framing, NO_BODY, takeFraming } from './framing.ts';
import type { Http1Headers } from './http1-headers.ts';
import { parseRequestLine, type RequestLine } from './request-line.ts';

/** A request head with its framing, or how to refuse it. */
export type RequestHeadResult =
  | { readonly kind: 'ok'; readonly head: RequestHead; readonly framing: Framing; readonly keepAlive: boolean }
  | { readonly kind: 'invalid'; readonly problem: ProtocolProblem };

/** Reads the head in `bytes[start, end)`, its last empty line included, into `headers`; the target in the form of `level`. */
export function parseRequestHead(
  bytes: Buffer,
  start: number,
  end: number,
  headers: Http1Headers,
  level: PathNormalization = DEFAULT_PATH_NORMALIZATION,
): RequestHeadResult {
  const line = parseRequestLine(bytes, start);
  if (line.kind === 'invalid') return invalid(line.status, line.details);
  const fields = headers.parse(bytes, line.next, end - 2);
  if (fields === 'too-many') return invalid(431, 'too_many_headers');
  if (fields === 'invalid') return invalid(400, 'http1.malformed_header');
  const declared = takeFraming(headers);
  if (declared.kind === 'invalid') return invalid(declared.status, declared.details);
  const hop = takeHopHeaders(headers);
  if (hop === null) return invalid(400, 'http1.connection_header_rejected');
  const host = takeHost(headers);
  if (host === null) return invalid(400, 'missing_host_header');
  const place = readTarget(line, host, level);
  if (place === null) return invalid(400, 'path_normalization_failed');
  return withBody(line.method, place, headers, declared, hop);
}

type Place = { authority: string; target: string };

function withBody(
  method: string,
  { authority, target }: Place,
  headers: Http1Headers,
  declared: DeclaredFraming & { kind: 'undeclared' | 'length' | 'chunked' },
  hop: HopFacts,
): RequestHeadResult {
  const contentLength = declared.kind === 'length' ? declared.bytes : null;
  const hasBody = declared.kind === 'chunked' || (contentLength !== null && contentLength > 0);
  if (method === 'CONNECT' && hasBody) return invalid(400, 'http1.body_disallowed');
  // Whoever does not know a protocol ignores it (RFC 9110 7.8): as bytes it would pass policies that see none of it. h2c is never wanted.
  const upgrade = hop.upgrade === 'websocket' ? hop.upgrade : null;
  // Two ways to say where the body ends: refused instead of guessed.
  if (upgrade !== null && hasBody) return invalid(400, 'http1.upgrade_with_body');
  return {
    kind: 'ok',
    head: {
      version: 'http1',
      method,
      target,
      authority,
      headers,
      hasBody,
      contentLength,
      upgrade,
    },
    framing:
      declared.kind === 'chunked'
        ? CHUNKED
        : hasBody && contentLength !== null
          ? { kind: 'length', bytes: contentLength }
          : NO_BODY,
    keepAlive: hop.persistence !== 'close',
  };
}

/** Exactly one non-empty Host (W22), taken out of the headers; null otherwise. */
function takeHost(headers: Http1Headers): string | null {
  const first = headers.indexOf(HEADER.host);
  if (first < 0) return null;
  headers.drop(first);
  return headers.indexOf(HEADER.host) < 0 ? headers.authorityAt(first) : null;
}

function readTarget(line: RequestLine & { kind: 'ok' }, host: string, level: PathNormalization): Place | null {
  const { method, target } = line;
  if (method === 'CONNECT') return isAuthority(target) ? { authority: target, target } : null;
  if (target === '*') return method === 'OPTIONS' ? { authority: host, target } : null;
  if (line.isNormal) return { authority: host, target };
  const absolute = target.startsWith('/') ? { authority: host, target } : splitAbsoluteTarget(target);
  if (absolute === null || !isAuthority(absolute.authority)) return null;
  const normal = normalizeTarget(absolute.target, level);
  return normal === null ? null : { authority: absolute.authority, target: normal };
}

function invalid(status: number, details: string): RequestHeadResult {
  return { kind: 'invalid', problem: { status, details } };
}
