import { TUNNEL } from '#model/settings/tunnels.ts';
import { DEFAULT_TABLE_BYTES, ERROR_CODE, Http2Error } from './constants.ts';
import { type Field, fieldBytes, fieldOf } from './field.ts';
import { DynamicTable } from './hpack-table.ts';
import { decodeHuffman } from './huffman.ts';

/** The dynamic table a peer may use: we announce nothing. */
const TABLE_BYTES_MAX = DEFAULT_TABLE_BYTES;
const INTEGER_MAX = TUNNEL.hpackIntegerMax;
const NOTHING = Buffer.alloc(0);

function invalid(what: string): Http2Error {
  return new Http2Error(ERROR_CODE.compressionError, `invalid header block: ${what}`);
}

/**
 * Decodes header blocks (RFC 7541). One per connection and direction: blocks must be fed in order, each whole.
 * Values are latin1: one character per byte.
 */
export class HpackDecoder {
  readonly #table = new DynamicTable(TABLE_BYTES_MAX);
  readonly #listBytesMax: number;
  #block: Buffer = NOTHING;
  #at = 0;
  #end = 0;

  /** `listBytesMax` bounds what one block may expand to. */
  constructor(listBytesMax: number) {
    this.#listBytesMax = listBytesMax;
  }

  /**
   * The fields of `block[start, end)`; null when they are more than the list may hold: read nevertheless, as later blocks
   * refer to them. Throws Http2Error (the connection is lost: later blocks could not be read).
   */
  decode(block: Buffer, start = 0, end = block.length): Field[] | null {
    this.#block = block;
    this.#at = start;
    this.#end = end;
    const fields: Field[] = [];
    let first = true;
    let listBytes = 0;
    while (this.#at < end) {
      const field = this.#readField(first);
      if (field === null) continue;
      first = false;
      listBytes += fieldBytes(field[0], field[1]);
      if (listBytes <= this.#listBytesMax) fields.push(field);
    }
    this.#block = NOTHING;
    return listBytes <= this.#listBytesMax ? fields : null;
  }

  /** The next field; null for a table size update. */
  #readField(first: boolean): Field | null {
    const byte = this.#block[this.#at] ?? 0;
    if ((byte & 0x80) !== 0) return this.#indexed(this.#readInteger(7));
    if ((byte & 0xe0) === 0x20) {
      if (!first) throw invalid('table size update after a field');
      const bytesMax = this.#readInteger(5);
      if (bytesMax > TABLE_BYTES_MAX) throw invalid('table size over the limit');
      this.#table.resize(bytesMax);
      return null;
    }
    const remembered = (byte & 0x40) !== 0;
    const index = this.#readInteger(remembered ? 6 : 4);
    const name = index === 0 ? this.#readString() : this.#indexed(index)[0];
    const field = fieldOf(name, this.#readString(), (byte & 0xf0) === 0x10);
    if (remembered) this.#table.add(field);
    return field;
  }

  #indexed(index: number): Field {
    const field = this.#table.at(index);
    if (field === null) throw invalid(`no entry ${index}`);
    return field;
  }

  #readByte(): number {
    if (this.#at >= this.#end) throw invalid('cut short');
    return this.#block[this.#at++] ?? 0;
  }

  #readInteger(prefixBits: number): number {
    const prefixMax = (1 << prefixBits) - 1;
    let value = this.#readByte() & prefixMax;
    if (value < prefixMax) return value;
    for (let shift = 0; ; shift += 7) {
      const byte = this.#readByte();
      value += (byte & 0x7f) * 2 ** shift;
      if (value > INTEGER_MAX || shift > 21) throw invalid('integer too large');
      if ((byte & 0x80) === 0) return value;
    }
  }

  #readString(): string {
    const coded = ((this.#block[this.#at] ?? 0) & 0x80) !== 0;
    const length = this.#readInteger(7);
    const start = this.#at;
    if (start + length > this.#end) throw invalid('cut short');
    this.#at = start + length;
    if (!coded) return this.#block.toString('latin1', start, start + length);
    const text = decodeHuffman(this.#block, start, start + length);
    if (text === null) throw invalid('Huffman code');
    return text;
  }
}
