// Fixed by RFC 1035, RFC 3596 and RFC 6891: the DNS wire format.

/** The header before the question. */
export const HEADER_BYTES = 12;
/** What a client without EDNS accepts over UDP. */
export const UDP_BYTES_DEFAULT = 512;
/** What the length in front of a message over TCP can say. */
export const MESSAGE_BYTES_MAX = 65_535;

/** Response codes; those above 15 are spread over header and OPT record. */
export const RCODE = { noError: 0, formErr: 1, servFail: 2, nxDomain: 3, notImp: 4, refused: 5, badVers: 16 } as const;
/** One of the response codes. */
export type Rcode = (typeof RCODE)[keyof typeof RCODE];

/** Types of the records that are read or written here. */
export const RECORD_TYPE = { A: 1, CNAME: 5, SOA: 6, AAAA: 28, OPT: 41 } as const;
/** The Internet class. */
export const CLASS_IN = 1;

/** Bits of the header's second word. */
export const FLAG = {
  response: 0x8000,
  authoritative: 0x0400,
  truncated: 0x0200,
  recursionDesired: 0x0100,
  recursionAvailable: 0x0080,
} as const;
/** Where the opcode is in that word; 0 is QUERY. */
export const OPCODE_MASK = 0x7800;
/** Where the response code is in that word. */
export const RCODE_MASK = 0x000f;

const LABEL_BYTES_MAX = 63;
const NAME_BYTES_MAX = 255;
const DOT = 0x2e;

/** Where a question ends, and whether its labels are plain ASCII without dots, so that its text says exactly what it is. */
export type QuestionSpan = { endOffset: number; plain: boolean };

/** The question right after the header; null when it is malformed. Questions are never compressed. */
export function spanQuestion(message: Buffer): QuestionSpan | null {
  let offset = HEADER_BYTES;
  let plain = true;
  for (;;) {
    const lengthBytes = message[offset];
    if (lengthBytes === undefined || lengthBytes > LABEL_BYTES_MAX) return null;
    if (lengthBytes === 0) break;
    const label = message.subarray(offset + 1, offset + 1 + lengthBytes);
    if (label.some((byte) => byte === DOT || byte <= 0x20 || byte >= 0x7f)) plain = false;
    offset += 1 + lengthBytes;
  }
  const endOffset = offset + 5;
  if (offset + 1 - HEADER_BYTES > NAME_BYTES_MAX || endOffset > message.length) return null;
  return { endOffset, plain };
}

/** The wire form of a plain name. Our own names come out of questions, so a bad one is our mistake: it throws RangeError. */
export function encodeName(name: string): Buffer {
  const parts: Buffer[] = [];
  for (const label of name.split('.')) {
    const bytes = Buffer.from(label, 'latin1');
    if (bytes.length === 0 || bytes.length > LABEL_BYTES_MAX) throw new RangeError(`not a DNS name: ${name}`);
    parts.push(Buffer.of(bytes.length), bytes);
  }
  const encoded = Buffer.concat([...parts, Buffer.of(0)]);
  if (encoded.length > NAME_BYTES_MAX) throw new RangeError(`DNS name too long: ${name}`);
  return encoded;
}
