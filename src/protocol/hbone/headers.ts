import type { TunnelRequest } from '#protocol/hbone/transport.ts';
import type { Header } from '#protocol/http/v2/hpack-table.ts';

/** `for="ip:port"`, with `;host=` when the client dialled a service (B14). `client` has IPv6 in brackets. */
export function formatForwarded(client: string, serviceHost: string | null): string {
  const host = serviceHost === null ? '' : `;host=${serviceHost}`;
  return `for="${client}"${host}`;
}

/** The service hostname of a `forwarded` header, or null. Nothing else of it may be trusted or is used. */
export function forwardedHost(forwarded: string): string | null {
  for (const part of forwarded.split(';')) {
    const [, host] = /^\s*host=("?)([A-Za-z0-9._-]+)\1\s*$/i.exec(part)?.slice(1) ?? [];
    if (host !== undefined) return host;
  }
  return null;
}

/** Headers of a CONNECT: exactly these, in this order (B13). */
export function connectHeaders(request: TunnelRequest): Header[] {
  return [
    [':method', 'CONNECT'],
    [':authority', request.authority],
    ['baggage', request.baggage],
    ['forwarded', formatForwarded(request.client, request.serviceHost)],
    ['traceparent', request.traceparent],
  ];
}

/** Headers of the answer to a CONNECT; no `baggage` when it is '' (B12). */
export function responseHeaders(status: number, baggage: string): Header[] {
  const headers: Header[] = [[':status', String(status)]];
  if (baggage !== '') headers.push(['baggage', baggage]);
  return headers;
}

/** A server's answer to a CONNECT; `baggage` is '' when it sent none. */
export type TunnelAnswer = { status: number; baggage: string };

/** The answer a client got; null when it is malformed. */
export function readResponse(headers: readonly Header[]): TunnelAnswer | null {
  const status = Number(headerValue(headers, ':status'));
  if (!Number.isInteger(status) || status < 100 || status > 999) return null;
  return { status, baggage: headerValue(headers, 'baggage') };
}

/** What a client asks of a server. */
export type ConnectRequest =
  | { kind: 'connect'; authority: string; baggage: string; forwarded: string; traceparent: string }
  /** A valid request that is no plain CONNECT: to be answered 400 (B6). */
  | { kind: 'other'; method: string }
  /** Breaks RFC 9113 section 8.3: the stream is to be reset. */
  | { kind: 'malformed' };

/** What a peer asks for. */
export function readConnect(headers: readonly Header[]): ConnectRequest {
  if (!wellFormed(headers)) return { kind: 'malformed' };
  const method = headerValue(headers, ':method');
  if (method === '') return { kind: 'malformed' };
  const authority = headerValue(headers, ':authority');
  const extended = headers.some(([name]) => name === ':protocol' || name === ':path' || name === ':scheme');
  if (method !== 'CONNECT' || extended || authority === '') return { kind: 'other', method };
  return {
    kind: 'connect',
    authority,
    baggage: headerValue(headers, 'baggage'),
    forwarded: headerValue(headers, 'forwarded'),
    traceparent: headerValue(headers, 'traceparent'),
  };
}

/** Names in lower case, pseudo-headers first and once each, no control characters in values. */
function wellFormed(headers: readonly Header[]): boolean {
  const seen = new Set<string>();
  let regular = false;
  for (const [name, value] of headers) {
    if (/[\0\r\n]/.test(value)) return false;
    if (!name.startsWith(':')) {
      regular = true;
      if (!/^[!#$%&'*+.^_`|~0-9a-z-]+$/.test(name)) return false;
      continue;
    }
    if (regular || seen.has(name)) return false;
    seen.add(name);
  }
  return true;
}

function headerValue(headers: readonly Header[], wanted: string): string {
  return headers.find(([name]) => name === wanted)?.[1] ?? '';
}
