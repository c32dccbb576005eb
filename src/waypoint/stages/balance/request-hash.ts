import { hashOf } from '#model/balancing/consistent-hash.ts';
import { cookieValue } from '#model/balancing/session.ts';
import type { HashKey } from '#model/waypoint/destination-settings.ts';
import type { Exchange } from '#waypoint/exchange/exchange.ts';

/** The hash of what a request is kept together by; null: it has nothing of it (W49). */
export function requestHash(key: HashKey, exchange: Exchange): number | null {
  const text = keptTogetherBy(key, exchange);
  return text === null ? null : hashOf(text);
}

function keptTogetherBy(key: HashKey, exchange: Exchange): string | null {
  switch (key.kind) {
    case 'address':
      return exchange.connection.client.address;
    case 'header': {
      const values = exchange.headerValues(key.name);
      return values.length === 0 ? null : values.join(',');
    }
    case 'query':
      return new URLSearchParams(exchange.query).get(key.name);
    case 'cookie':
      // Browsers send the quotes back that it was written in.
      return cookieValue(exchange.headerValues('cookie'), key.name)?.replace(/^"(.*)"$/, '$1') ?? null;
    default:
      return key satisfies never;
  }
}

/** Set-Cookie by which the client comes back to where it was (W50). */
export function hashCookie({ name, path, ttlS, attributes }: HashKey & { kind: 'cookie' }, value: string): string {
  const age = ttlS === null || ttlS === 0 ? [] : [`Max-Age=${ttlS}`];
  return [`${name}="${value}"`, ...age, ...(path === null ? [] : [`Path=${path}`]), ...attributes, 'HttpOnly'].join('; ');
}
