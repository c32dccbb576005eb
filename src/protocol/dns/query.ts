import { type DecodedPacket, decode, type OptAnswer } from 'dns-packet';
import { DNS } from '#model/settings/dns.ts';
import {
  FLAG,
  HEADER_BYTES,
  OPCODE_MASK,
  type QuestionSpan,
  RCODE,
  type Rcode,
  spanQuestion,
  UDP_BYTES_DEFAULT,
} from '#protocol/dns/wire.ts';

/** What a reply has to repeat of its query. */
export type QueryEcho = {
  id: number;
  opcode: number;
  recursionDesired: boolean;
  /** The question as it came, byte for byte (resolvers check its letter case); empty when it could not be read. */
  questionBytes: Buffer;
  /** Null: the query had no OPT record, so the reply must not have one. */
  edns: { dnssecOk: boolean } | null;
  /** The largest reply the client takes over UDP. */
  udpBytesMax: number;
};

/** A well-formed query with one question. */
export type DnsQuery = {
  echo: QueryEcho;
  /** Without the final dot; `.` for the root. */
  name: string;
  /** `A`, `AAAA`, …, `UNKNOWN_65` for types without a name here. */
  type: string;
  /** Class IN and ASCII labels without dots inside: only such names can be mesh names. */
  plain: boolean;
  bytes: Buffer;
};

/** What to do with a message that was received as a query. */
export type QueryDecoding =
  | { kind: 'query'; query: DnsQuery }
  /** Answer with this code. */
  | { kind: 'error'; rcode: Rcode; echo: QueryEcho }
  /** Not a query at all: answering it could start a loop between two servers. */
  | { kind: 'ignore'; why: 'too short' | 'a response' };

/** Reads one query. Errors: none, everything malformed is a `kind`. Source: RFC 1035, RFC 6891, RFC 9619. */
export function decodeQuery(bytes: Buffer): QueryDecoding {
  if (bytes.length < HEADER_BYTES) return { kind: 'ignore', why: 'too short' };
  const flags = bytes.readUInt16BE(2);
  if ((flags & FLAG.response) !== 0) return { kind: 'ignore', why: 'a response' };
  const span = bytes.readUInt16BE(4) === 1 ? spanQuestion(bytes) : null;
  const echo = echoOf(bytes, flags, span);
  if (echo.opcode !== 0) return { kind: 'error', rcode: RCODE.notImp, echo };
  const packet = span === null || outOfBounds(bytes) ? null : tryDecode(bytes);
  const question = packet?.questions?.[0];
  if (span === null || packet === null || question === undefined) return { kind: 'error', rcode: RCODE.formErr, echo };
  const options = (packet.additionals ?? []).filter((record): record is OptAnswer => record.type === 'OPT');
  const [option] = options;
  if (options.length > 1) return { kind: 'error', rcode: RCODE.formErr, echo };
  if (option !== undefined) {
    echo.edns = { dnssecOk: option.flag_do };
    echo.udpBytesMax = Math.min(DNS.udpBytesMax, Math.max(UDP_BYTES_DEFAULT, option.udpPayloadSize));
    if (option.ednsVersion !== 0) return { kind: 'error', rcode: RCODE.badVers, echo };
  }
  const plain = span.plain && question.class === 'IN';
  return { kind: 'query', query: { echo, name: question.name, type: question.type, plain, bytes } };
}

function echoOf(bytes: Buffer, flags: number, span: QuestionSpan | null): QueryEcho {
  return {
    id: bytes.readUInt16BE(0),
    opcode: (flags & OPCODE_MASK) >> 11,
    recursionDesired: (flags & FLAG.recursionDesired) !== 0,
    questionBytes: span === null ? Buffer.alloc(0) : bytes.subarray(HEADER_BYTES, span.endOffset),
    edns: null,
    udpBytesMax: UDP_BYTES_DEFAULT,
  };
}

function outOfBounds(bytes: Buffer): boolean {
  const records = bytes.readUInt16BE(6) + bytes.readUInt16BE(8) + bytes.readUInt16BE(10);
  return bytes.length > DNS.queryBytesMax || records > DNS.queryRecordsMax;
}

function tryDecode(bytes: Buffer): DecodedPacket | null {
  try {
    const packet = decode(bytes);
    return decode.bytes === bytes.length ? packet : null; // bytes after the last record: malformed
  } catch {
    return null;
  }
}
