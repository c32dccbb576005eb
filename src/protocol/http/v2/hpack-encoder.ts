import { HTTP2 } from '#model/settings/http.ts';
import { DEFAULT_TABLE_BYTES, FRAME_HEADER_BYTES } from './constants.ts';
import { fieldBytes, type Header } from './field.ts';
import { STATIC_FIELDS, STATIC_TABLE } from './hpack-table.ts';

/** What we use of the peer's table at most: what it has if it announces nothing. */
const TABLE_BYTES_MAX = DEFAULT_TABLE_BYTES;
/** Longer texts are cheaper to write natively than byte by byte. */
const SHORT_TEXT = 24;
/** Prefix of a literal: to be remembered, not to be, never to be. Fixed by RFC 7541 6.2. */
const LITERAL = { remembered: 0x40, plain: 0, never: 0x10 } as const;

const NAME_INDEX: ReadonlyMap<string, number> = new Map(
  [...STATIC_TABLE.entries()].reverse().map(([at, [name]]) => [name, at + 1]),
);
const STATIC_VALUES: ReadonlyMap<string, ReadonlyMap<string, number>> = staticValues();

/** Nobody else may see them even by guessing, trial by trial, what shortens a message (RFC 7541 7.1.3). */
const SECRET: ReadonlySet<string> = new Set(['authorization', 'proxy-authorization']);
const SECRET_IF_SHORT: ReadonlySet<string> = new Set(['cookie', 'set-cookie']);
/** A shorter one can be guessed. As nghttp2. */
const SHORT_SECRET = 20;

/** What an encoder knows of a name. */
type Known = {
  readonly nameIndex: number;
  readonly fixed: ReadonlyMap<string, number> | undefined;
  readonly secret: boolean;
  readonly secretIfShort: boolean;
  /** Values in the peer's table, by the number of their entry. */
  readonly values: Map<string, number>;
  /** What it had last. A value is remembered when it comes a second time: most that are not repeated at once never are. */
  last: string;
};

type Entry = { readonly known: Known; readonly value: string; readonly bytes: number };

/** Where blocks are put together: one in the process, as writing is synchronous. In front there is room for a frame's head. */
let scratch = Buffer.allocUnsafeSlow(HTTP2.headBufferBytes);
let length = FRAME_HEADER_BYTES;

function reserve(bytes: number): void {
  if (length + bytes <= scratch.length) return;
  const larger = Buffer.allocUnsafeSlow(Math.max(scratch.length * 2, length + bytes));
  scratch.copy(larger, 0, 0, length);
  scratch = larger;
}

function putInteger(prefixBits: number, flags: number, value: number): void {
  const prefixMax = (1 << prefixBits) - 1;
  if (value < prefixMax) {
    scratch[length++] = flags | value;
    return;
  }
  scratch[length++] = flags | prefixMax;
  let rest = value - prefixMax;
  while (rest >= 0x80) {
    scratch[length++] = (rest & 0x7f) | 0x80;
    rest >>>= 7;
  }
  scratch[length++] = rest;
}

/** Never in Huffman's code: it would save bytes on links that have them to spare, and cost the time that there is not. */
function putString(text: string): void {
  const bytes = text.length;
  reserve(bytes + 8);
  putInteger(7, 0, bytes);
  if (bytes > SHORT_TEXT) {
    length += scratch.write(text, length, 'latin1');
    return;
  }
  const to = scratch;
  let at = length;
  for (let index = 0; index < bytes; index++) to[at++] = text.charCodeAt(index);
  length = at;
}

/** A block is begun by `begin`, and lies in `buffer` from `start` to `end` until the next one is. */
export const BLOCK = {
  begin(): void {
    length = FRAME_HEADER_BYTES;
  },
  get buffer(): Buffer {
    return scratch;
  },
  start: FRAME_HEADER_BYTES,
  get end(): number {
    return length;
  },
} as const;

/** Encodes header blocks (RFC 7541) into BLOCK. One per connection; blocks must leave in the order in which they were made. */
export class HpackEncoder {
  readonly #names = new Map<string, Known>();
  /** The peer's table, oldest first; entry `n` of its life lies at `n - #gone`. */
  #entries: Entry[] = [];
  #gone = 0;
  #bytes = 0;
  #bytesMax = TABLE_BYTES_MAX;
  /** The smallest size since the last block, to be told with the next; -1: none to tell. */
  #untold = -1;

  /** The peer's SETTINGS_HEADER_TABLE_SIZE. */
  limit(bytes: number): void {
    const bytesMax = Math.min(bytes, TABLE_BYTES_MAX);
    if (bytesMax === this.#bytesMax) return;
    this.#untold = this.#untold < 0 ? bytesMax : Math.min(this.#untold, bytesMax);
    this.#bytesMax = bytesMax;
    this.#evict(bytesMax);
  }

  /** Starts a block. */
  begin(): void {
    BLOCK.begin();
    if (this.#untold < 0) return;
    putInteger(5, 0x20, this.#untold);
    if (this.#untold < this.#bytesMax) putInteger(5, 0x20, this.#bytesMax);
    this.#untold = -1;
  }

  /** Adds a field. `never`: it came as one that no table may keep. */
  field(name: string, value: string, never: boolean): void {
    const known = this.#names.get(name) ?? this.#learn(name);
    reserve(16);
    const fixed = known.fixed?.get(value);
    // A value that never comes twice, as that of `traceparent`, is not looked for: it would have to be read first.
    const entry = known.values.size === 0 ? undefined : known.values.get(value);
    if (fixed !== undefined) putInteger(7, 0x80, fixed);
    else if (never || known.secret || (known.secretIfShort && value.length < SHORT_SECRET))
      this.#literal(known, name, value, LITERAL.never);
    else if (entry !== undefined) putInteger(7, 0x80, STATIC_FIELDS + this.#gone + this.#entries.length - entry);
    else if (known.last === value && fieldBytes(name, value) <= this.#bytesMax / 2) {
      this.#literal(known, name, value, LITERAL.remembered);
      this.#remember(known, name, value);
    } else {
      known.last = value;
      this.#literal(known, name, value, LITERAL.plain);
    }
  }

  /** A whole block of fields that tables may keep. */
  block(headers: readonly Header[]): void {
    this.begin();
    for (const [name, value] of headers) this.field(name, value, false);
  }

  #literal(known: Known, name: string, value: string, prefix: number): void {
    putInteger(prefix === LITERAL.remembered ? 6 : 4, prefix, known.nameIndex);
    if (known.nameIndex === 0) putString(name);
    putString(value);
  }

  /** Names are few; a peer that makes up new ones makes us forget what came last of each, not what the table has. */
  #learn(name: string): Known {
    const known: Known = {
      nameIndex: NAME_INDEX.get(name) ?? 0,
      fixed: STATIC_VALUES.get(name),
      secret: SECRET.has(name),
      secretIfShort: SECRET_IF_SHORT.has(name),
      values: new Map(),
      last: '',
    };
    if (this.#names.size >= HTTP2.encoderNamesMax)
      for (const [old, { values }] of this.#names) if (values.size === 0) this.#names.delete(old);
    if (this.#names.size < HTTP2.encoderNamesMax) this.#names.set(name, known);
    return known;
  }

  #remember(known: Known, name: string, value: string): void {
    const bytes = fieldBytes(name, value);
    this.#evict(this.#bytesMax - bytes);
    known.values.set(value, this.#gone + this.#entries.length);
    this.#entries.push({ known, value, bytes });
    this.#bytes += bytes;
  }

  #evict(bytesMax: number): void {
    while (this.#bytes > bytesMax) {
      const oldest = this.#entries.shift();
      if (oldest === undefined) return;
      this.#gone++;
      this.#bytes -= oldest.bytes;
      oldest.known.values.delete(oldest.value);
    }
  }
}

function staticValues(): Map<string, Map<string, number>> {
  const values = new Map<string, Map<string, number>>();
  for (const [at, [name, value]] of STATIC_TABLE.entries()) {
    if (value === '') continue;
    const known = values.get(name) ?? new Map<string, number>();
    values.set(name, known.set(value, at + 1));
  }
  return values;
}

/** The same as a buffer of its own. */
export function encodeHeaders(headers: readonly Header[]): Buffer {
  putHeaders(headers);
  return Buffer.from(scratch.subarray(FRAME_HEADER_BYTES, length));
}

/**
 * Puts a header block into BLOCK that needs no state on either side: static table and plain literals only.
 * A tunnel sends one small block in its life, so compression would buy nothing.
 */
export function putHeaders(headers: readonly Header[]): void {
  BLOCK.begin();
  for (const [name, value] of headers) {
    reserve(16);
    const fixed = STATIC_VALUES.get(name)?.get(value);
    if (fixed !== undefined) {
      putInteger(7, 0x80, fixed);
      continue;
    }
    const nameIndex = NAME_INDEX.get(name) ?? 0;
    putInteger(4, LITERAL.plain, nameIndex);
    if (nameIndex === 0) putString(name);
    putString(value);
  }
}
