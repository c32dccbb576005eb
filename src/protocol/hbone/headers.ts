import { type IpAddress, splitHostPort, tryParseIp } from '#model/address/ip.ts';
import type { TunnelRequest } from '#model/path/reach.ts';
import type { Header } from '#protocol/http/v2/field.ts';

/** `for="ip:port"`, with `;host=` when the client dialled a service (B14). `client` has IPv6 in brackets. */
export function formatForwarded(client: string, serviceHost: string | null): string {
  const host = serviceHost === null ? '' : `;host=${serviceHost}`;
  return `for="${client}"${host}`;
}

/** How the header of an agent begins; what it goes on with is the same for all clients of a service. */
const FOR = 'for="';
let lastRest = '';
let lastHost: string | null = null;

/** The service hostname of a `forwarded` header, or null. Nothing else of it may be trusted or is used. */
export function forwardedHost(forwarded: string): string | null {
  const quote = forwarded.startsWith(FOR) ? forwarded.indexOf('"', FOR.length) : -1;
  const semicolon = forwarded.indexOf(';');
  if (quote < 0 || (semicolon >= 0 && semicolon < quote)) return hostIn(forwarded);
  if (forwarded.length - quote - 1 === lastRest.length && forwarded.endsWith(lastRest)) return lastHost;
  lastRest = forwarded.slice(quote + 1);
  lastHost = hostIn(lastRest);
  return lastHost;
}

function hostIn(forwarded: string): string | null {
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

const LINE_BREAK = /[\0\r\n]/;
const NAME = /^[!#$%&'*+.^_`|~0-9a-z-]+$/;
const COLON = 0x3a;
const QUOTE = 0x22;
const ZERO = 0x30;
/** Fixed by TCP. */
const PORT_MAX = 65_535;
const PORT_DIGITS_MAX = 5;
const MALFORMED: ConnectRequest = { kind: 'malformed' };

/**
 * What a peer asks for, in one pass, as each connection has one. Names must be in lower case, pseudo-headers first and once
 * each, values without line breaks; of other fields the first of a name counts.
 */
export function readConnect(headers: readonly Header[]): ConnectRequest {
  const pseudo = new Map<string, string>();
  let baggage: string | null = null;
  let forwarded: string | null = null;
  let traceparent: string | null = null;
  let regular = false;
  for (const [name, value] of headers) {
    if (LINE_BREAK.test(value)) return MALFORMED;
    if (name.charCodeAt(0) === COLON) {
      if (regular || pseudo.has(name)) return MALFORMED;
      pseudo.set(name, value);
      continue;
    }
    regular = true;
    if (name === 'baggage') baggage ??= value;
    else if (name === 'forwarded') forwarded ??= value;
    else if (name === 'traceparent') traceparent ??= value;
    else if (!NAME.test(name)) return MALFORMED;
  }
  const method = pseudo.get(':method') ?? '';
  const authority = pseudo.get(':authority') ?? '';
  if (method === '') return MALFORMED;
  // An extended CONNECT has more than the two.
  const extended = pseudo.size > 2 && (pseudo.has(':protocol') || pseudo.has(':path') || pseudo.has(':scheme'));
  if (method !== 'CONNECT' || extended || authority === '') return { kind: 'other', method };
  return {
    kind: 'connect',
    authority,
    baggage: baggage ?? '',
    forwarded: forwarded ?? '',
    traceparent: traceparent ?? '',
  };
}

function headerValue(headers: readonly Header[], wanted: string): string {
  return headers.find(([name]) => name === wanted)?.[1] ?? '';
}

/**
 * The client's own address and port out of a `forwarded` header, if it names the peer's address: the peer's agent
 * is authenticated as the workload at that address, so it may say which of that workload's ports it speaks for.
 */
export function forwardedClient(header: string, peer: IpAddress): { ip: IpAddress; port: number } | null {
  const told = plainPort(header, peer);
  if (told > 0) return { ip: peer, port: told };
  const quoted = /(?:^|;|,)\s*for="([^"]{1,64})"/i.exec(header)?.[1];
  const address = quoted === undefined ? null : splitHostPort(quoted);
  const ip = address === null ? null : tryParseIp(address.host);
  return address !== null && ip === peer ? { ip, port: address.port } : null;
}

/** The port of a header that begins with `for="peer:port"`, as those of agents do; 0: it has another form, and may mean the same. */
function plainPort(header: string, peer: IpAddress): number {
  const colon = FOR.length + peer.length;
  if (!header.startsWith(FOR) || !header.startsWith(peer, FOR.length) || header.charCodeAt(colon) !== COLON) return 0;
  let port = 0;
  for (let at = colon + 1; at <= colon + PORT_DIGITS_MAX + 1; at++) {
    const digit = header.charCodeAt(at) - ZERO;
    if (digit >= 0 && digit <= 9) port = port * 10 + digit;
    else return header.charCodeAt(at) === QUOTE && port <= PORT_MAX && !peer.includes(':') ? port : 0;
  }
  return 0;
}

/** Statuses that answer a CONNECT (docs/rules/node-proxy.md); sent with END_STREAM unless `open`. */
export const TUNNEL_STATUS = {
  /** Policy allowed it and the app is connected. */
  open: 200,
  /** Not a CONNECT, no usable authority, or an address that is not ours to serve. */
  badRequest: 400,
  /** Refused by an authorization policy. */
  denied: 401,
  /** Unknown workload, service or port, an illegal port, or the app did not answer. */
  unavailable: 503,
} as const;

/** What a status means to the one who asked for a tunnel, for errors and logs. */
export function describeTunnelStatus(status: number): string {
  switch (status) {
    case TUNNEL_STATUS.open:
      return 'open';
    case TUNNEL_STATUS.badRequest:
      return 'the peer does not serve this address';
    case TUNNEL_STATUS.denied:
      return 'denied by an authorization policy of the destination';
    case TUNNEL_STATUS.unavailable:
      return 'the destination workload or port is not reachable';
    default:
      return `http status ${status}`;
  }
}
