import { type Answer, decode, encode, type OptAnswer } from 'dns-packet';
import { DNS } from '#model/settings/dns.ts';
import type { QueryEcho } from '#protocol/dns/query.ts';
import { encodeName, FLAG, HEADER_BYTES, RCODE_MASK } from '#protocol/dns/wire.ts';

/** Type and class, behind the name of a question. Fixed by RFC 1035 4.1.2. */
const QUESTION_TAIL_BYTES = 4;
/** Question, answer, authority and additional records are counted from here on. */
const COUNTS_AT = 4;

/** Fixed by RFC 6891 6.1.4. */
const DNSSEC_OK = 0x8000;
const OPTION: Omit<OptAnswer, 'flags' | 'flag_do'> = {
  ...{ type: 'OPT', name: '.', udpPayloadSize: DNS.udpBytesMax, extendedRcode: 0, ednsVersion: 0, options: [] },
};

/** What a nameserver is asked in the place of `query`, which must have one question: the same of another name, with the same id. */
export function queryFor(query: Buffer, { questionBytes }: QueryEcho, name: string): Buffer {
  const header = Buffer.from(query.subarray(0, HEADER_BYTES));
  header.fill(0, COUNTS_AT);
  header.writeUInt16BE(1, COUNTS_AT);
  return Buffer.concat([header, encodeName(name), questionBytes.subarray(-QUESTION_TAIL_BYTES)]);
}

/**
 * The answer to a query for an alias: that it is one, by `chain` (at least one name), and what a nameserver said of the last name
 * in it. Null: that reply cannot be read. Answers whose letters were pointers are written in full.
 */
export function encodeAliasReply(
  query: Buffer,
  { id, edns, recursionDesired }: QueryEcho,
  chain: readonly string[],
  upstream: Buffer,
): Buffer | null {
  try {
    const asked = decode(query).questions ?? [];
    const owners = [asked[0]?.name ?? '', ...chain];
    const aliases = chain.map((data, at): Answer => ({ type: 'CNAME', name: owners[at] ?? '', data, ttl: DNS.ttlSeconds }));
    const desired = recursionDesired ? FLAG.recursionDesired : 0;
    return encode({
      type: 'response',
      id,
      flags: FLAG.recursionAvailable | desired | (upstream.readUInt16BE(2) & RCODE_MASK),
      questions: asked,
      answers: [...aliases, ...(decode(upstream).answers ?? [])],
      additionals: edns === null ? [] : [{ ...OPTION, flag_do: edns.dnssecOk, flags: edns.dnssecOk ? DNSSEC_OK : 0 }],
    });
  } catch {
    return null;
  }
}
