import { TUNNEL } from '#model/settings/tunnels.ts';
import { ERROR_CODE, Http2Error } from './constants.ts';
import { DynamicTable, fieldBytes, type Header } from './hpack-table.ts';
import { decodeHuffman } from './huffman.ts';

/** The dynamic table a peer may use when we announce nothing. Fixed by RFC 9113 6.5.2. */
const TABLE_BYTES_MAX = 4_096;
const INTEGER_MAX = TUNNEL.hpackIntegerMax;

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
  #block: Buffer = Buffer.alloc(0);
  #at = 0;

  /** `listBytesMax` bounds what one block may expand to. */
  constructor(listBytesMax: number) {
    this.#listBytesMax = listBytesMax;
  }

  /** Throws Http2Error (the connection is lost: later blocks could not be read). */
  decode(block: Buffer): Header[] {
    this.#block = block;
    this.#at = 0;
    const headers: Header[] = [];
    let listBytes = 0;
    while (this.#at < block.length) {
      const header = this.#readField(headers.length === 0);
      if (header === null) continue;
      listBytes += fieldBytes(...header);
      if (listBytes > this.#listBytesMax) throw new Http2Error(ERROR_CODE.enhanceYourCalm, 'header list too large');
      headers.push(header);
    }
    return headers;
  }

  /** The next field; null for a table size update. */
  #readField(first: boolean): Header | null {
    const byte = this.#block.readUInt8(this.#at);
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
    const header: Header = [name, this.#readString()];
    if (remembered) this.#table.add(header);
    return header;
  }

  #indexed(index: number): Header {
    const header = this.#table.at(index);
    if (header === null) throw invalid(`no entry ${index}`);
    return header;
  }

  #readByte(): number {
    if (this.#at >= this.#block.length) throw invalid('cut short');
    return this.#block.readUInt8(this.#at++);
  }

  #readInteger(prefixBits: number): number {
    const prefixMax = 2 ** prefixBits - 1;
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
    if (this.#at + length > this.#block.length) throw invalid('cut short');
    const bytes = this.#block.subarray(this.#at, this.#at + length);
    this.#at += length;
    if (!coded) return bytes.toString('latin1');
    const text = decodeHuffman(bytes);
    if (text === null) throw invalid('Huffman code');
    return text;
  }
}
