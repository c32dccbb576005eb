import { HTTP } from '#model/settings/http.ts';
import { HEADER, headerIdOf } from '#protocol/http/header-names.ts';
import type { Http1Headers } from './http1-headers.ts';

/** What the hop-by-hop headers of one message said, before they were dropped. */
export type HopFacts = {
  /** `close` or `keep-alive` was named; null: neither. */
  persistence: 'close' | 'keep-alive' | null;
  /** The Upgrade header, in lower case, if Connection named it; null otherwise. */
  upgrade: string | null;
  /** Seconds of `Keep-Alive: timeout=`; null when not given. */
  keepAliveTimeoutSeconds: number | null;
};

const TOKENS = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

/**
 * Drops what belongs to this hop only: Connection and everything it names, Keep-Alive, Proxy-Connection, Upgrade,
 * HTTP2-Settings, Trailer, and TE unless it says exactly `trailers` (docs/rules/waypoint.md, W25, W26, W28).
 * Null when Connection is malformed: answer 400.
 */
export function takeHopHeaders(headers: Http1Headers): HopFacts | null {
  const facts: HopFacts = { persistence: null, upgrade: null, keepAliveTimeoutSeconds: null };
  let upgradeNamed = false;
  let upgrade: string | null = null;
  for (let index = 0; index < headers.receivedCount(); index++) {
    switch (headers.idAt(index)) {
      case HEADER.connection:
        if (headers.hasValueAt(index, 'close')) facts.persistence = 'close';
        else if (headers.hasValueAt(index, 'keep-alive')) facts.persistence ??= 'keep-alive';
        else {
          const named = readTokens(headers, index, facts);
          if (named === null) return null;
          upgradeNamed ||= named;
        }
        headers.drop(index);
        break;
      case HEADER.upgrade:
        upgrade = upgrade === null ? headers.valueAt(index).toLowerCase() : `${upgrade},${headers.valueAt(index).toLowerCase()}`;
        headers.drop(index);
        break;
      case HEADER.keepAlive:
        facts.keepAliveTimeoutSeconds = timeoutOf(headers.valueAt(index));
        headers.drop(index);
        break;
      case HEADER.te:
        if (!headers.hasValueAt(index, 'trailers')) headers.drop(index);
        break;
      case HEADER.proxyConnection:
      case HEADER.http2Settings:
      case HEADER.trailer:
        headers.drop(index);
        break;
      default:
        break;
    }
  }
  facts.upgrade = upgradeNamed ? upgrade : null;
  return facts;
}

/** Whether `upgrade` was named; null when malformed. */
function readTokens(headers: Http1Headers, connectionIndex: number, facts: HopFacts): boolean | null {
  const value = headers.valueAt(connectionIndex);
  if (value.length > HTTP.connectionHeaderBytesMax) return null;
  let upgradeNamed = false;
  for (const part of value.toLowerCase().split(',')) {
    const token = part.trim();
    if (token === '') continue;
    if (!TOKENS.test(token)) return null;
    if (token === 'close') facts.persistence = 'close';
    else if (token === 'keep-alive') facts.persistence ??= 'keep-alive';
    else if (token === 'upgrade') upgradeNamed = true;
    else dropNamed(headers, token);
  }
  return upgradeNamed;
}

/** Host and the framing headers are not the sender's to drop. */
function dropNamed(headers: Http1Headers, name: string): void {
  const id = headerIdOf(name);
  if (id === HEADER.host || id === HEADER.contentLength || id === HEADER.transferEncoding || id === HEADER.te) return;
  for (let index = 0; index < headers.receivedCount(); index++) if (headers.hasNameAt(index, name)) headers.drop(index);
}

function timeoutOf(keepAlive: string): number | null {
  const seconds = /(?:^|[,\s])timeout=(\d{1,6})/i.exec(keepAlive)?.[1];
  return seconds === undefined ? null : Number(seconds);
}
