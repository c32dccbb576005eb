import { type IpAddress, ipToBytes } from '#model/address/ip.ts';
import { DNS } from '#model/settings/dns.ts';
import type { QueryEcho } from '#protocol/dns/query.ts';
import { CLASS_IN, encodeName, FLAG, HEADER_BYTES, RCODE, RCODE_MASK, type Rcode, RECORD_TYPE } from '#protocol/dns/wire.ts';

/** Records of an answer: all of one family; `aliases`: the asked name stands for the first, that for the next; they belong to the last. */
export type AnswerRecords = { aliases: readonly string[]; addresses: readonly IpAddress[]; ttlSeconds: number; rcode?: Rcode };

const POINTER_TO_QUESTION = 0xc000 | HEADER_BYTES;
/** An OPT record without options. Fixed by RFC 6891 6.1.2. */
const OPT_BYTES = 11;
/** Name pointer, type, class, TTL, length. Fixed by RFC 1035 4.1.3. */
const RECORD_HEAD_BYTES = 12;

/**
 * An authoritative NOERROR reply, at most `bytesMax` long: what does not fit is left out and TC set, so the client
 * repeats its query over TCP. Names are compressed, which the dns-packet library does not do: 30 endpoints fit in 512 bytes.
 */
export function encodeAnswer(echo: QueryEcho, records: AnswerRecords, bytesMax: number): Buffer {
  let left = bytesMax - HEADER_BYTES - echo.questionBytes.length - (echo.edns === null ? 0 : OPT_BYTES);
  let owner = POINTER_TO_QUESTION;
  let truncated = false;
  const encoded: Buffer[] = [];
  const add = (record: Buffer): boolean => {
    if (record.length > left) truncated = true;
    if (truncated) return false;
    left -= record.length;
    encoded.push(record);
    return true;
  };
  for (const alias of records.aliases) {
    const name = encodeName(alias);
    // Where its name will lie: behind the head of this record.
    const next = 0xc000 | (HEADER_BYTES + echo.questionBytes.length + bytesOf(encoded) + RECORD_HEAD_BYTES);
    add(encodeRecord(owner, RECORD_TYPE.CNAME, records.ttlSeconds, name));
    owner = next;
  }
  for (const address of records.addresses) {
    const data = ipToBytes(address);
    if (!add(encodeRecord(owner, data.length === 4 ? RECORD_TYPE.A : RECORD_TYPE.AAAA, records.ttlSeconds, data))) break;
  }
  const flags = FLAG.authoritative | (truncated ? FLAG.truncated : 0);
  return assemble(echo, flags, records.rcode ?? RCODE.noError, encoded);
}

/**
 * An authoritative answer that there is no such name (`nxDomain`) or no such record (`noError`) in `zone`. The zone's SOA
 * says how long that may be kept (RFC 2308): without it some resolvers ask again at once, others go on to the next server.
 */
export function encodeAbsence(echo: QueryEcho, rcode: Rcode, zone: string, ttlSeconds: number): Buffer {
  const name = encodeName(zone);
  const times = Buffer.alloc(20);
  SOA_TIMES.forEach((value, at) => {
    times.writeUInt32BE(value, at * 4);
  });
  times.writeUInt32BE(ttlSeconds, 16);
  const data = Buffer.concat([encodeName(`ns.dns.${zone}`), encodeName(`hostmaster.${zone}`), times]);
  const soa = Buffer.concat([name, encodeRecord(0, RECORD_TYPE.SOA, ttlSeconds, data).subarray(2)]);
  const bytes = HEADER_BYTES + echo.questionBytes.length + soa.length + (echo.edns === null ? 0 : OPT_BYTES);
  return assemble(echo, FLAG.authoritative, rcode, [], bytes > echo.udpBytesMax ? [] : [soa]);
}

/** Serial, refresh, retry, expiry: nobody transfers this zone. The minimum follows. */
const SOA_TIMES = [1, 7_200, 1_800, 86_400] as const;

/** A reply without records, for failures. */
export function encodeFailure(echo: QueryEcho, rcode: Rcode): Buffer {
  return assemble(echo, 0, rcode, []);
}

/**
 * A forwarded reply as the client may have it: unchanged when it fits `bytesMax`, else without records and with TC set.
 */
export function fitReply(echo: QueryEcho, reply: Buffer, bytesMax: number): Buffer {
  if (reply.length <= bytesMax) return reply;
  const flags = reply.readUInt16BE(2);
  const kept = flags & (FLAG.authoritative | FLAG.recursionAvailable);
  return assemble(echo, kept | FLAG.truncated, flags & RCODE_MASK, []);
}

function bytesOf(records: readonly Buffer[]): number {
  return records.reduce((sum, { length }) => sum + length, 0);
}

function assemble(
  echo: QueryEcho,
  flags: number,
  rcode: number,
  answers: readonly Buffer[],
  authorities: readonly Buffer[] = [],
): Buffer {
  const header = Buffer.alloc(HEADER_BYTES);
  const desired = echo.recursionDesired ? FLAG.recursionDesired : 0;
  header.writeUInt16BE(echo.id, 0);
  header.writeUInt16BE(FLAG.response | (echo.opcode << 11) | FLAG.recursionAvailable | desired | flags | (rcode & RCODE_MASK), 2);
  header.writeUInt16BE(echo.questionBytes.length === 0 ? 0 : 1, 4);
  header.writeUInt16BE(answers.length, 6);
  header.writeUInt16BE(authorities.length, 8);
  header.writeUInt16BE(echo.edns === null ? 0 : 1, 10);
  const option = echo.edns === null ? [] : [encodeOption(echo.edns.dnssecOk, rcode)];
  return Buffer.concat([header, echo.questionBytes, ...answers, ...authorities, ...option]);
}

function encodeRecord(owner: number, type: number, ttlSeconds: number, data: Buffer): Buffer {
  const head = Buffer.alloc(RECORD_HEAD_BYTES);
  head.writeUInt16BE(owner, 0);
  head.writeUInt16BE(type, 2);
  head.writeUInt16BE(CLASS_IN, 4);
  head.writeUInt32BE(ttlSeconds, 6);
  head.writeUInt16BE(data.length, 10);
  return Buffer.concat([head, data]);
}

function encodeOption(dnssecOk: boolean, rcode: number): Buffer {
  const option = Buffer.alloc(OPT_BYTES);
  option.writeUInt16BE(RECORD_TYPE.OPT, 1);
  option.writeUInt16BE(DNS.udpBytesMax, 3);
  option.writeUInt8(rcode >> 4, 5);
  option.writeUInt16BE(dnssecOk ? 0x8000 : 0, 7);
  return option;
}
