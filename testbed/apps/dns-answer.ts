import dnsPacket from 'dns-packet';

/** The one name the outside world has. */
export type Zone = { name: string; a: string; aaaa: string };

const TTL_S = 60;
/** RFC 1035 section 4.1.1; dns-packet keeps the response code in the lowest four bits of the flags. */
const NXDOMAIN = 3;

/** The reply to a DNS query as a forwarding resolver's upstream gives it, and what was asked. */
export function answerQuery(zone: Zone, query: Buffer): { question: { name: string; type: string }; reply: Buffer } {
  const { id, questions = [] } = dnsPacket.decode(query);
  const [question] = questions;
  const name = (question?.name ?? '').toLowerCase();
  const type = question?.type ?? '';
  const known = name === zone.name;
  const flags = dnsPacket.RECURSION_DESIRED | dnsPacket.RECURSION_AVAILABLE | (known ? 0 : NXDOMAIN);
  const answers: dnsPacket.StringAnswer[] = [];
  if (known && type === 'A') answers.push({ type, name, ttl: TTL_S, data: zone.a });
  if (known && type === 'AAAA') answers.push({ type, name, ttl: TTL_S, data: zone.aaaa });
  return {
    question: { name, type },
    reply: dnsPacket.encode({ type: 'response', ...(id === undefined ? {} : { id }), flags, questions, answers }),
  };
}

/** Splits DNS over TCP into messages: each is preceded by its length in two bytes (RFC 1035 section 4.2.2). */
export function readFrames(bytes: Buffer): { frames: Buffer[]; rest: Buffer } {
  const frames: Buffer[] = [];
  let at = 0;
  while (at + 2 <= bytes.length) {
    const end = at + 2 + bytes.readUInt16BE(at);
    if (end > bytes.length) break;
    frames.push(bytes.subarray(at + 2, end));
    at = end;
  }
  return { frames, rest: bytes.subarray(at) };
}
