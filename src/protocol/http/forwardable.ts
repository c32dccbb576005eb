import { FIELD_NAME, FIELD_VALUE } from './characters.ts';
import { type HeaderBlock, StringHeaders } from './header-block.ts';
import { headerIdOf } from './header-names.ts';

/** Of one connection, whichever version carries it: they end here (RFC 9110 7.6.1, RFC 9113 8.2.2). */
const OF_CONNECTION: ReadonlySet<string> = new Set([
  'connection',
  'http2-settings',
  'keep-alive',
  'proxy-connection',
  'transfer-encoding',
  'upgrade',
]);

/**
 * What a trailer must not say: it comes after everything was decided by the head (RFC 9110 6.5.1). Framing and routing, who asks,
 * and what the content is.
 */
const OF_HEAD: ReadonlySet<string> = new Set([
  ...OF_CONNECTION,
  'authorization',
  'content-encoding',
  'content-length',
  'content-range',
  'content-type',
  'cookie',
  'expect',
  'host',
  'max-forwards',
  'proxy-authenticate',
  'proxy-authorization',
  'range',
  'set-cookie',
  'te',
  'trailer',
  'www-authenticate',
]);

/** Fixed by RFC 9110 15: what lies outside is no class that a client could know. */
const STATUS_MAX = 599;

/**
 * Whether every codec can write the field: a name of token characters in lower case, a value without control characters and of
 * one byte each. What one reader lets in and another writer throws on, or writes as a line of its own, would be a way in.
 */
export function isWritableField(name: string, value: string): boolean {
  if (name === '') return false;
  for (let at = 0; at < name.length; at++) if (FIELD_NAME[name.charCodeAt(at)] !== 1) return false;
  for (let at = 0; at < value.length; at++) if (FIELD_VALUE[value.charCodeAt(at)] !== 1) return false;
  return true;
}

/** Whether a field of a head goes on to the other side; `te` is left with the one value that means the same everywhere. */
export function isForwardableField(name: string, value: string): boolean {
  if (OF_CONNECTION.has(name) || (name === 'te' && value.toLowerCase() !== 'trailers')) return false;
  return isWritableField(name, value);
}

/** Whether a field means something in a head alone, so that no trailer goes on with that name. */
export function isHeadOnly(name: string): boolean {
  return OF_HEAD.has(name);
}

/** Whether a trailer goes on to the other side. */
export function isForwardableTrailer(name: string, value: string): boolean {
  return !OF_HEAD.has(name) && isWritableField(name, value);
}

/** Whether every codec can pass a final status on. */
export function isForwardableStatus(status: number): boolean {
  return Number.isInteger(status) && status >= 200 && status <= STATUS_MAX;
}

/** Whether every codec can pass an interim status on; 101 is none, as it ends the HTTP of its connection. */
export function isForwardableInterim(status: number): boolean {
  return status >= 100 && status <= 199 && status !== 101;
}

/** The fields of `pairs` (name, value, …) that pass. */
export function fieldsThat(passes: (name: string, value: string) => boolean, pairs: readonly string[]): StringHeaders {
  const kept: string[] = [];
  for (let at = 0; at + 1 < pairs.length; at += 2) {
    const [name = '', value = ''] = [pairs[at], pairs[at + 1]];
    if (passes(name, value)) kept.push(name, value);
  }
  return new StringHeaders(kept, headerIdOf);
}

/** What is left of a block, as pairs that every codec can write: also of what a route added. */
export function writablePairs(headers: HeaderBlock): string[] {
  const pairs = headers.toPairs();
  const isWritable = (at: number): boolean => isWritableField(pairs[at] ?? '', pairs[at + 1] ?? '');
  return pairs.filter((_, at) => isWritable(at - (at % 2)));
}
