import { FIELD_VALUE, TOKEN } from '#protocol/http/characters.ts';
import { isHeadOnly } from '#protocol/http/forwardable.ts';
import { HEADER, type HeaderId, headerIdOf } from '#protocol/http/header-names.ts';

/** One header field for a writer: name in lower case, and value. */
export type Header = readonly [name: string, value: string, ...known: number[]];

/**
 * A field as it was read: what its name and value mean is found out once, however often the peer's table repeats it.
 * `traits`: the sum of its TRAITs.
 */
export type Field = readonly [name: string, value: string, id: HeaderId, traits: number];

/** What a field is, or may do. */
export const TRAIT = {
  /** Its name begins with a colon. */
  pseudo: 1,
  /** Characters that no field may have (RFC 9113 8.2.1). */
  invalid: 2,
  /** Of a connection of HTTP/1: a message that has it is malformed (RFC 9113 8.2.2). */
  ofConnection: 4,
  /** Goes on to the other side in a head, or in trailers. */
  head: 8,
  trailer: 16,
  /** No table may keep it, here or further on (RFC 7541 6.2.3). */
  neverIndexed: 32,
} as const;

const OF_CONNECTION: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'transfer-encoding',
  'upgrade',
]);

/** Reads a field. */
export function fieldOf(name: string, value: string, neverIndexed: boolean): Field {
  const never = neverIndexed ? TRAIT.neverIndexed : 0;
  if (name.charCodeAt(0) === 0x3a)
    return [name, value, HEADER.other, never | TRAIT.pseudo | (isSound(name, value, 1) ? 0 : TRAIT.invalid)];
  return [name, value, headerIdOf(name), never | regularTraits(name, value)];
}

function regularTraits(name: string, value: string): number {
  if (!isSound(name, value, 0)) return TRAIT.invalid;
  if (OF_CONNECTION.has(name) || (name === 'te' && value.toLowerCase() !== 'trailers')) return TRAIT.ofConnection;
  return isHeadOnly(name) ? TRAIT.head : TRAIT.head | TRAIT.trailer; // every sound field can be written
}

/** Whether the name from `from` on is a token in lower case, and the value without control characters. */
function isSound(name: string, value: string, from: number): boolean {
  if (name.length === from) return false;
  for (let at = from; at < name.length; at++) {
    const code = name.charCodeAt(at);
    if (TOKEN[code] !== 1 || (code >= 0x41 && code <= 0x5a)) return false;
  }
  for (let at = 0; at < value.length; at++) if (FIELD_VALUE[value.charCodeAt(at)] !== 1) return false;
  return true;
}

/** What a field adds to a table or to a header list (RFC 7541 section 4.1). */
export function fieldBytes(name: string, value: string): number {
  return name.length + value.length + 32;
}
