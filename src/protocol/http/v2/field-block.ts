import { isWritableField } from '#protocol/http/forwardable.ts';
import { HeaderBlock } from '#protocol/http/header-block.ts';
import { HEADER, type HeaderId } from '#protocol/http/header-names.ts';
import { type Field, TRAIT } from './field.ts';
import type { HpackEncoder } from './hpack-encoder.ts';

/** So many places fit into one small integer. */
const FIRST_PLACES = 30;

/** The headers of one HTTP/2 message as its codec read them: nothing is copied, and what repeats is shared between messages. */
export class FieldBlock extends HeaderBlock {
  readonly #fields: readonly Field[];
  /** Where they begin: pseudo headers come first. */
  readonly #from: number;
  /** One bit a place; the few messages with more headers have the others in a set. */
  #dropped = 0;
  #droppedFurther: Set<number> | null = null;

  /** Those of `fields` from `from` on that have `trait`. */
  constructor(fields: readonly Field[], from: number, trait: number) {
    super();
    this.#fields = fields;
    this.#from = from;
    for (let at = from; at < fields.length; at++) if (((fields[at]?.[3] ?? 0) & trait) === 0) this.drop(at - from);
  }

  receivedCount(): number {
    return this.#fields.length - this.#from;
  }

  isDropped(index: number): boolean {
    return index < FIRST_PLACES ? ((this.#dropped >>> index) & 1) === 1 : this.#droppedFurther?.has(index) === true;
  }

  drop(index: number): void {
    if (index < FIRST_PLACES) this.#dropped |= 1 << index;
    else {
      this.#droppedFurther ??= new Set();
      this.#droppedFurther.add(index);
    }
  }

  idAt(index: number): HeaderId {
    return this.#fields[this.#from + index]?.[2] ?? HEADER.other;
  }

  nameAt(index: number): string {
    return this.#fields[this.#from + index]?.[0] ?? '';
  }

  valueAt(index: number): string {
    return this.#fields[this.#from + index]?.[1] ?? '';
  }

  hasNameAt(index: number, name: string): boolean {
    return this.#fields[this.#from + index]?.[0] === name;
  }

  /** Puts all that is left of the received ones into a block. */
  encode(encoder: HpackEncoder): void {
    for (let index = 0, at = this.#from; at < this.#fields.length; index++, at++) {
      const field = this.#fields[at];
      if (field !== undefined && !this.isDropped(index)) encoder.field(field[0], field[1], (field[3] & TRAIT.neverIndexed) !== 0);
    }
  }
}

/** Puts every header that is left into the block that `encoder` has begun, each as an entry of its own and in order. */
export function encodeHeaderBlock(encoder: HpackEncoder, headers: HeaderBlock): void {
  if (headers instanceof FieldBlock) headers.encode(encoder);
  else {
    for (let index = 0; index < headers.receivedCount(); index++) {
      if (!headers.isDropped(index)) encodeIfWritable(encoder, headers.nameAt(index), headers.valueAt(index));
    }
  }
  const added = headers.addedCount();
  for (let at = 0; at < added; at++) encodeIfWritable(encoder, headers.addedNameAt(at), headers.addedValueAt(at));
}

/** What came by another codec, or from a route, may hold what no peer would take. */
function encodeIfWritable(encoder: HpackEncoder, name: string, value: string): void {
  if (isWritableField(name, value)) encoder.field(name, value, false);
}

/** Trailers as a stream sends them once their time has come. */
export class Trailers {
  readonly #headers: HeaderBlock;

  constructor(headers: HeaderBlock) {
    this.#headers = headers;
  }

  encode(encoder: HpackEncoder): void {
    encoder.begin();
    encodeHeaderBlock(encoder, this.#headers);
  }
}
